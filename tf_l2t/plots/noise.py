"""What the labels went through, and what the teacher made of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tf_l2t.runtime.heat_map import Scale, draw_heat_map


def noise(
    figure: Figure,
    labels_of_class: np.ndarray,
    matrix: np.ndarray,
    names: Sequence[str],
    probabilities: bool = False,
) -> None:
    """Draws which labels the classes were given, and beside it the learned Φ.

    Args:
        figure: drawn on.
        labels_of_class: part of the training examples of class i with the label j, [C, C].
        matrix: Φ at the end of a student, [C, C]; row i is the label that a student was shown.
        names: of the classes.
        probabilities: whether the rows of `matrix` are true classes and P(label j | class i), the
            transition matrix of `DynamicForwardCorrection`.
    """
    figure.set_size_inches(11, 4.9)
    left, right = figure.subplots(1, 2)
    shown = [labels_of_class, matrix] if probabilities else [labels_of_class]
    most = float(np.max(np.stack(shown)[:, ~np.eye(len(names), dtype=bool)]))
    scale = Scale(most / 2, most / 2)
    image = draw_heat_map(figure, left, labels_of_class, names, scale, "Reds")
    left.set_title("applied: part of class i's examples with the label j")
    left.set_xlabel(left.get_xlabel().replace("class j", "label j"))
    figure.colorbar(image, ax=left, label="wrong labels; in grey cells right ones")
    if probabilities:
        image = draw_heat_map(figure, right, matrix, names, scale, "Reds")
        right.set_title("learned, and not told of it: T(i, j) at a student's end")
        right.set_xlabel(left.get_xlabel())
        figure.colorbar(image, ax=right, label="T(i, j), j ≠ i; in grey cells T(i, i)")
    else:
        image = draw_heat_map(figure, right, matrix, names)
        right.set_title("learned, and not told of it: Φ(i, j) at a student's end")
        right.set_ylabel("label i")
        figure.colorbar(image, ax=right, label="Φ(i, j), j ≠ i; in grey cells Φ(i, i)")
    for axes in (left, right):
        axes.spines[:].set_visible(True)
