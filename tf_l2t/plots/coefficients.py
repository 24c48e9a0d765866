"""Φ through a student's training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tf_l2t.plots.style import COLOURS, LINES, STAGES
from tf_l2t.runtime.heat_map import MAX_ANNOTATED, draw_heat_map, off_diagonal_scale


def stages(count: int) -> list[int]:
    """Returns the positions of the begin, middle and end among so many; fewer of less than 3."""
    return np.unique(np.linspace(0, count - 1, 3).round().astype(int)).tolist()


def phi(figure: Figure, steps: np.ndarray, matrices: np.ndarray, names: Sequence[str]) -> None:
    """Draws Φ at three moments, and its diagonal at every one.

    Args:
        figure: drawn on.
        steps: of the student, [times].
        matrices: Φ, [times, C, C].
        names: of the classes.
    """
    classes = matrices.shape[1]
    annotated = classes <= MAX_ANNOTATED
    shown = stages(len(steps))
    scale = off_diagonal_scale(matrices)
    figure.set_size_inches(10.5, 4.6 if len(shown) == 1 else 9.2)
    grid = figure.subplots(1 if len(shown) == 1 else 2, 2).ravel()
    maps, lines = grid[: len(shown)], grid[len(shown)]
    for axes in grid[len(shown) + 1 :]:
        axes.set_axis_off()
    for axes, position in zip(maps, shown, strict=True):
        image = draw_heat_map(figure, axes, matrices[position], names, scale)
        axes.set_title(f"student step {steps[position]}")
        axes.spines[:].set_visible(True)
    label = "Φ(i, j), j ≠ i; in grey cells Φ(i, i)" if annotated else "Φ(i, j), j ≠ i"
    bar = figure.colorbar(image, ax=grid[: max(1, len(shown) - 1)], label=label)
    bar.ax.axhline(0, color="k", linestyle="--")
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    if annotated:
        for k, name in enumerate(names):
            colour, line = COLOURS[k % len(COLOURS)], LINES[k // len(COLOURS) % len(LINES)]
            lines.plot(steps, diagonals[:, k], line, color=colour, label=name)
        lines.legend(title="i", loc="center left", bbox_to_anchor=(1, 0.5), ncols=1 + classes // 13)
    else:
        for part, low in ((0.25, 5), (0.5, 25)):
            edges = np.percentile(diagonals, (low, 100 - low), axis=1)
            label = f"{100 - 2 * low} % of the classes"
            lines.fill_between(steps, *edges, color=COLOURS[0], alpha=part, lw=0, label=label)
        lines.plot(steps, np.median(diagonals, axis=1), color="k", label="median")
        lines.legend()
    lines.set_title("diagonal")
    lines.set_xlabel("student step")
    lines.set_ylabel("Φ(i, i)")
    lines.grid(alpha=0.3)


def class_bars(
    figure: Figure,
    steps: np.ndarray,
    matrices: np.ndarray,
    names: Sequence[str],
    against: Mapping[int, Sequence[int]],
) -> None:
    """Draws Φ(i, j) at three moments for some j, or those with the largest and smallest (figure 4).

    Args:
        figure: drawn on.
        steps: of the student, [times].
        matrices: Φ, [times, C, C].
        names: of the classes.
        against: {i: j of Φ(i, j)}, of which three i are drawn; fewer than two j are chosen anew,
            by Φ.
    """
    shown = stages(len(steps))
    classes = list(against)[:3]
    figure.set_size_inches(4.2 * len(classes), 3.9)
    all_axes = figure.subplots(1, len(classes), squeeze=False, sharey=True)[0]
    for axes, i in zip(all_axes, classes, strict=True):
        others = [j for j in np.argsort(-matrices[-1, i], kind="stable").tolist() if j != i]
        given = len(against[i]) > 1
        if given:
            others = list(against[i])
        chosen = others if given or len(others) <= 6 else [*others[:3], *others[-3:]]
        width = 0.8 / len(shown)
        for k, position in enumerate(shown):
            at = np.arange(len(chosen)) + (k - (len(shown) - 1) / 2) * width
            label = f"student step {steps[position]}"
            colour = STAGES[round(k * (len(STAGES) - 1) / max(len(shown) - 1, 1))]
            axes.bar(at, matrices[position, i, chosen], width, color=colour, label=label)
        axes.axhline(0, color="k", lw=0.8)
        upright = max(len(names[j]) for j in chosen) > 4
        axes.set_xticks(
            range(len(chosen)), [names[j] for j in chosen], rotation=90 if upright else 0
        )
        if given:
            axes.set_xlabel("class j")
        elif len(others) > 6:
            axes.axvline(2.5, color="0.5", ls=":")
            axes.set_xlabel("class j: three largest, three smallest Φ at the end")
        else:
            axes.set_xlabel("class j, by Φ at the end")
        axes.set_title(f"true class i = {names[i]}")
        axes.grid(alpha=0.3, axis="y")
    all_axes[0].set_ylabel("Φ(i, j)")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
