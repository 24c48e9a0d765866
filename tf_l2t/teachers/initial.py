"""The coefficients that a teacher starts from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def initial_coefficients(
    shapes: Mapping[str, tuple[int, ...]], diagonal: float, off_diagonal: float
) -> dict[str, np.ndarray]:
    """Returns Φ_0: square matrices with the given entries, other tensors of their kind.

    A vector, the diagonal of a matrix that is not stored, holds `diagonal`; a scalar, the bias,
    is 0.

    Args:
        shapes: shape of each coefficient.
        diagonal: value on the diagonal.
        off_diagonal: value beside it.

    Raises:
        ValueError: for a shape that is none of these.
    """
    initial: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        value: np.ndarray
        if len(shape) == 2 and shape[0] == shape[1]:
            value = np.full(shape, off_diagonal)
            np.fill_diagonal(value, diagonal)
        elif len(shape) == 1:
            value = np.full(shape, diagonal)
        elif not shape:
            value = np.zeros(())
        else:
            raise ValueError(
                f"coefficient {name!r} has the shape {shape}; a teacher starts from a square "
                "matrix, a vector (its diagonal) or a scalar."
            )
        initial[name] = value
    return initial
