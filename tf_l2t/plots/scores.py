"""How well it went: along the teacher's training, and of each loss in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tf_l2t.plots.style import COLOURS, logarithmic
from tf_l2t.score import Score


def dev_measure(figure: Figure, teacher: dict[str, Any], score: Score) -> None:
    """Draws the dev measure of the students of each teacher step (figure 3 of L2T-DLF).

    Args:
        figure: drawn on.
        teacher: "teacher" of results.json.
        score: that students are judged by.
    """
    steps, last_selection = teacher["steps"], teacher.get("last_selection")
    figure.set_size_inches(6.4, 4.2)
    axes = figure.add_subplot()
    numbers = [step["step"] for step in steps]
    axes.plot(numbers, _column(steps, "measure"), ".-", label="dev measure")
    axes.plot(numbers, _column(steps, "score"), ".--", label=f"dev {score.name}")
    selected = [step for step in steps if step.get("selection") is not None]
    positions = [step["step"] for step in selected]
    scores = [step["selection"] for step in selected]
    if last_selection is not None:
        positions, scores = [*positions, len(steps)], [*scores, last_selection]
    if scores:
        label = f"dev {score.name}, selection students"
        axes.plot(positions, scores, "D", color=COLOURS[2], label=label)
    refused = [step["step"] for step in steps if not step["taken"]]
    for k, step in enumerate(refused):
        label = "step refused" if k == 0 else "_"
        axes.axvline(step, color="0.6", linestyle=":", label=label, zorder=0)
    axes.set_xlabel("teacher step")
    axes.set_ylabel("mean over the students of a step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    axes.grid(alpha=0.3)


def test_scores(figure: Figure, rows: dict[str, Any], score: Score) -> None:
    """Draws what is reported of each student of each row.

    Args:
        figure: drawn on.
        rows: "rows" of results.json.
        score: that students are judged by.
    """
    figure.set_size_inches(6.4, 1.2 + 0.45 * len(rows))
    axes = figure.add_subplot()
    for position, row in enumerate(rows.values()):
        values = [100 * score.of(student, "test") for student in row["students"].values()]
        axes.plot(values, [position] * len(values), "o", color=COLOURS[0], alpha=0.6, mew=0)
        axes.plot(np.mean(values), position, "k|", markersize=16, markeredgewidth=2)
        axes.annotate(
            f"{np.mean(values):.2f}",
            (1, position),
            xycoords=("axes fraction", "data"),
            va="center",
        )
    values = [score.of(s, "test") for row in rows.values() for s in row["students"].values()]
    if 0 < 5 * min(values) < max(values):
        axes.set_xscale("log")
        logarithmic(axes.xaxis)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"test {score.reported}, % (dots: students; bar and number: their mean)")
    axes.grid(alpha=0.3, axis="x")


def _column(steps: list[dict[str, Any]], name: str) -> list[float]:
    # results.json has null for what is not finite.
    return [np.nan if step[name] is None else step[name] for step in steps]
