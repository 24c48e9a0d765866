"""The bilinear loss as a function of what a student believes of two classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from tf_l2t.plots.coefficients import stages
from tf_l2t.plots.style import LINES, STAGES


def bilinear_loss(
    row: np.ndarray, bias: float, y: int, j: int, p_y: np.ndarray, p_j: np.ndarray
) -> np.ndarray:
    """Returns -σ( Σ_k Φ[y, k] log p_k + b ), what p_y and p_j leave shared by the other classes.

    Args:
        row: Φ[y], [C].
        bias: b.
        y: true class.
        j: another class.
        p_y: its probability, of any shape; with that of j above 0, and below 1 beside others.
        p_j: the other's.
    """
    others = np.delete(row, [y, j])
    score = row[y] * np.log(p_y) + row[j] * np.log(p_j) + bias
    if len(others):
        score = score + others.sum() * np.log((1 - p_y - p_j) / len(others))
    return -1 / (1 + np.exp(-score))


def loss_surface(
    figure: Figure,
    steps: np.ndarray,
    matrices: np.ndarray,
    bias: np.ndarray | None,
    names: Sequence[str],
    pair: tuple[int, int],
) -> None:
    """Draws the loss of a true class over the probabilities of it and of another.

    Above at the begin, middle and end of a student; below where the two are all that is believed
    in, and how the surface has changed since the begin.

    Args:
        figure: drawn on.
        steps: of the student, [times].
        matrices: Φ, [times, C, C].
        bias: b, [times]; 0 if None.
        names: of the classes.
        pair: true class and another one.
    """
    y, j = pair
    shown = stages(len(steps))
    rows = matrices[shown, y].astype(float)
    offsets = np.zeros(len(shown)) if bias is None else bias[shown].astype(float)
    labels = [f"student step {step}" for step in steps[shown]]
    if matrices.shape[-1] == 2:
        figure.set_size_inches(5.4, 4)
        _curves(figure.add_subplot(), rows, offsets, labels, names, pair)
        return
    figure.set_size_inches(11, 7.2)
    figure.suptitle(f"Loss of the true class {names[y]}, beside class {names[j]}")
    upper, (lower, *changed) = figure.subplots(2, 3)
    _curves(lower, rows, offsets, labels, names, pair)
    p = np.linspace(0, 1, 202)[1:-1]
    p_y, p_j = np.meshgrid(p, p)
    inside = p_y + p_j < 1 - 1e-6
    at = np.where(inside, p_y, 0.25), np.where(inside, p_j, 0.25)
    losses = np.array(
        [
            np.where(inside, bilinear_loss(row, offset, y, j, *at), np.nan)
            for row, offset in zip(rows, offsets, strict=True)
        ]
    )
    changes = losses[1:] - losses[0]
    span = float(np.max(np.abs(changes[:, inside]), initial=1e-12))
    # By rank: the loss is steep near p = 0, and even levels would leave the rest flat.
    levels = np.unique(np.quantile(losses[:, inside], np.linspace(0, 1, 15)))
    for axes, surfaces, titles, cmap, cuts in (
        (upper, losses, labels, "cividis", levels),
        (changed, changes, labels[1:], "PuOr", np.linspace(-span, span, 15)),
    ):
        for part in axes[len(surfaces) :]:
            part.set_axis_off()
        filled: ContourSet | None = None
        for part, surface, title in zip(axes, surfaces, titles, strict=False):
            filled = part.contourf(
                p_y, p_j, surface, levels=cuts, cmap=cmap, norm=BoundaryNorm(cuts, 256)
            )
            part.set_title(title)
            part.set_xlabel(f"p({names[y]}), the true class")
            part.set_ylabel(f"p({names[j]})")
            part.set_aspect("equal")
        if filled is not None:
            label = "loss" if surfaces is losses else f"change of the loss since step {steps[0]}"
            figure.colorbar(filled, ax=list(axes), label=label, format="%.3g", pad=0.01)
    figure.supxlabel("Above and right: the other classes share what the two leave.", fontsize=9)


def _curves(
    axes: Axes,
    rows: np.ndarray,
    offsets: np.ndarray,
    labels: Sequence[str],
    names: Sequence[str],
    pair: tuple[int, int],
) -> None:
    # Evenly in log p / (1 - p), since the loss is steep at both ends.
    p = 1 / (1 + np.exp(-np.linspace(-9, 9, 300)))
    for k, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
        losses = bilinear_loss(row[list(pair)], offset, 0, 1, p, 1 - p)
        axes.plot(p, losses, LINES[k], color=STAGES[k], label=labels[k])
    axes.set_xlabel(f"p({names[pair[0]]}) = 1 − p({names[pair[1]]})")
    axes.set_ylabel("loss")
    axes.set_title("p of the two classes alone")
    axes.legend()
    axes.grid(alpha=0.3)
