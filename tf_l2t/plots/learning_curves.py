"""Students along their training, with bands over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_l2t.plots.style import COLOURS, LINES, logarithmic
from tf_l2t.score import Score

_BAND = "band: lowest to highest of the seeds"


def has_curves(row: Mapping[str, Any], name: str) -> bool:
    """Returns whether a student of a row has such a curve; those of earlier versions have not."""
    return any(student.get(name) for student in row.get("students", {}).values())


def learning_curves(figure: Figure, rows: Mapping[str, Any], score: Score) -> None:
    """Draws what is reported of the dev score of every loss along its students' training.

    Args:
        figure: drawn on.
        rows: "rows" of results.json.
        score: that students are judged by.
    """
    figure.set_size_inches(7.2, 4.6)
    axes = figure.add_subplot()
    for k, (name, row) in enumerate(rows.items()):
        if not has_curves(row, score.observed("dev")):
            continue
        starts, values = _curves(row, score.observed("dev"))
        colour, line = COLOURS[k % len(COLOURS)], LINES[k % len(LINES)]
        _band(axes, starts, 100 * score.report(values), colour, linestyle=line, label=name)
    if score.complement:
        # Errors shrink by factors; other scores grow, and start at 0.
        axes.set_yscale("log")
        logarithmic(axes.yaxis)
    axes.set_xlabel(f"student step ({_BAND})")
    axes.set_ylabel(f"{score.reported} on the dev data that are observed, %")
    axes.legend()
    axes.grid(alpha=0.3)


def training_loss(figure: Figure, rows: Mapping[str, Any]) -> None:
    """Draws the training loss of each loss on a scale of its own: they are not comparable.

    Args:
        figure: drawn on.
        rows: "rows" of results.json.
    """
    shown = {name: row for name, row in rows.items() if has_curves(row, "training_loss")}
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure.set_size_inches(3.2 * columns, 2.5 * lines + 0.3)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for k, (axes, (name, row)) in enumerate(zip(grid, shown.items(), strict=False)):
        starts, losses = _curves(row, "training_loss")
        _band(axes, starts, losses, COLOURS[k % len(COLOURS)])
        axes.set_title(name)
        axes.grid(alpha=0.3)
    figure.supxlabel(f"student step ({_BAND})", fontsize=10)
    figure.supylabel("training loss, each on a scale of its own", fontsize=10)


def _curves(row: Mapping[str, Any], name: str) -> tuple[list[int], np.ndarray]:
    students = [student for student in row["students"].values() if student.get(name)]
    starts = students[0]["segment_starts"]
    # Where a student's loss was not finite, results.json has null.
    return starts, np.array([student[name] for student in students], float)


def _band(axes: Axes, starts: list[int], curves: np.ndarray, colour: str, **line: Any) -> None:
    finite = np.ma.masked_invalid(curves)
    axes.fill_between(starts, finite.min(axis=0), finite.max(axis=0), color=colour, alpha=0.2, lw=0)
    axes.plot(starts, finite.mean(axis=0), color=colour, **line)
