"""Φ as a picture, for TensorBoard and for figures alike."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

MAX_ANNOTATED = 20
"""Classes up to which every cell holds its number."""


class Scale(NamedTuple):
    """Which Φ(i, j), j ≠ i, the colours show."""

    centre: float
    """White."""
    span: float
    """From white to the darkest red below, and to the darkest blue above."""


def off_diagonal_scale(matrices: np.ndarray) -> Scale:
    """Returns the scale around the median entry beside the diagonal, of [..., C, C].

    These entries start equal and above 0, so that around 0 all of them would look the same.
    """
    beside = matrices[..., ~np.eye(matrices.shape[-1], dtype=bool)]
    beside = beside[np.isfinite(beside)]
    if not beside.size:
        return Scale(0.0, 1.0)
    centre = float(np.median(beside))
    span = float(np.abs(beside - centre).max())
    # Differences that are rounding errors are none.
    return Scale(centre, span if span > 1e-5 * abs(centre) else abs(centre) or 1.0)


def draw_heat_map(
    figure: Figure,
    axes: Axes,
    matrix: np.ndarray,
    names: Sequence[str],
    scale: Scale | None = None,
    colours: str = "RdBu",
) -> ScalarMappable:
    """Draws Φ with colours for Φ(i, j), j ≠ i, and the diagonal, which dwarfs them, in grey.

    Up to 20 classes each cell holds its number, in the unit that the axis names.

    Args:
        figure: whose axes they are.
        axes: drawn on.
        matrix: Φ, [C, C]; row i is the true class.
        names: of the classes.
        scale: of the colours; that of the matrix if None.
        colours: a map of Matplotlib that is dark at both ends, or at its upper end if its name
            ends in "s", such as "Reds".

    Returns:
        What a colour bar explains.
    """
    classes = len(matrix)
    beside = np.where(np.eye(classes, dtype=bool), np.nan, matrix)
    centre, span = scale or off_diagonal_scale(matrix)
    image = axes.imshow(beside, cmap=colours, vmin=centre - span, vmax=centre + span)
    axes.set_facecolor("0.9")
    axes.set_ylabel("true class i")
    axes.set_xlabel("class j")
    if classes > MAX_ANNOTATED:
        return image
    # Long names, and short ones of many classes, stand upright.
    upright = max(len(name) for name in names) > 2
    axes.set_xticks(range(classes), names, rotation=90 if upright else 0)
    axes.set_yticks(range(classes), names)
    edges = np.arange(1, classes) - 0.5
    axes.hlines(edges, -0.5, classes - 0.5, colors="w", linewidth=0.5)
    axes.vlines(edges, -0.5, classes - 0.5, colors="w", linewidth=0.5)
    unit = 10.0 ** np.floor(np.log10(np.nanmax(np.abs(beside), initial=1e-30)))
    digits = 2 if classes <= 12 else 1
    width = axes.get_window_extent().width / figure.dpi * 72 / classes
    size = float(np.clip(width / 3.8, 4, 9))
    for (i, j), value in np.ndenumerate(matrix):
        text = f"{value:#.3g}" if i == j else f"{round(value / unit, digits) + 0.0:.{digits}f}"
        dark = value > centre if colours.endswith("s") else abs(value - centre) > 0.6 * span
        ink = "w" if i != j and dark else "k"
        cell = axes.text(j, i, text.replace("-", "−"), ha="center", va="center", size=size)
        cell.set(color=ink, in_layout=False)
    axes.set_xlabel(f"class j (numbers beside the diagonal: × {unit:g})")
    return image


def heat_map_image(
    matrix: np.ndarray, names: Sequence[str], title: str, scale: Scale | None = None
) -> bytes:
    """Returns the PNG of a heat map; beyond 20 classes the diagonal has a strip of its own."""
    if len(matrix) <= MAX_ANNOTATED:
        size = 6.4 if len(matrix) <= 12 else 8.4
        figure = Figure(figsize=(size, 0.87 * size), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        image = draw_heat_map(figure, axes, matrix, names, scale)
        figure.colorbar(image, label="Φ(i, j), j ≠ i; in grey cells Φ(i, i)")
    else:
        figure = Figure(figsize=(6.4, 4.8), dpi=100)
        axes = figure.add_axes((0.1, 0.12, 0.6, 0.8))
        image = draw_heat_map(figure, axes, matrix, names, scale)
        strip = figure.add_axes((0.72, 0.12, 0.02, 0.8))
        diagonal = strip.imshow(matrix.diagonal()[:, None], cmap="cividis", aspect="auto")
        strip.set_xticks([0], ["Φ(i, i)"])
        strip.set_yticks([])
        upper, lower = ((0.79, bottom, 0.02, 0.37) for bottom in (0.55, 0.12))
        figure.colorbar(image, cax=figure.add_axes(upper), label="Φ(i, j), j ≠ i")
        figure.colorbar(diagonal, cax=figure.add_axes(lower), label="Φ(i, i)")
    axes.set_title(title, loc="left")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    # A palette makes a third of the bytes of it, and a run writes hundreds.
    pixels.quantize(256).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
