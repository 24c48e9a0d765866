"""What is watched of the coefficients that a teacher sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_l2t.checks import whole_number

ClassPairs = Sequence[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Watch:
    """What TensorBoard and the figures show of Φ.

    Attributes:
        class_pairs: (i, j), classes numbered from 0, whose Φ(i, j) are shown as curves; the
            off-diagonal entries that moved the most if None. What moved the most is known at the
            end alone: by teacher step these curves are then written when the teacher is done.
        num_pairs: how many entries are shown where `class_pairs` is None.
        heat_map_every: teacher steps between two heat maps, of which TensorBoard shows ten or so;
            the last step has one.
        heat_maps: heat maps along a student's training, at most.

    Raises:
        ValueError: for a number that is none, or a pair that is none.
    """

    class_pairs: ClassPairs | None = None
    num_pairs: int = 5
    heat_map_every: int = 5
    heat_maps: int = 20

    def __post_init__(self) -> None:
        for name in ("num_pairs", "heat_map_every", "heat_maps"):
            whole_number("Watch", name, getattr(self, name), 1)
        for pair in self.class_pairs or ():
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ValueError(
                    f"Watch: class_pairs must hold pairs of classes, got {pair!r}; give "
                    "((2, 7), (3, 8)), for example, or None."
                )
            for index in pair:
                whole_number("Watch", "class_pairs", index, 0)

    def check(self, num_classes: int) -> None:
        """Raises ValueError if a pair names a class that is not there."""
        for pair in self.class_pairs or ():
            if max(pair) >= num_classes:
                raise ValueError(
                    f"Watch: class_pairs has {tuple(pair)}, but the classes are numbered from 0 to "
                    f"{num_classes - 1}."
                )

    def pairs(self, matrices: np.ndarray) -> list[tuple[int, int]]:
        """Returns the pairs to show of matrices that are all known, [times, C, C]."""
        if self.class_pairs is not None:
            return [(int(i), int(j)) for i, j in self.class_pairs if max(i, j) < matrices.shape[-1]]
        return most_moved_pairs(matrices, self.num_pairs)

    def moments(self, count: int) -> list[int]:
        """Returns which of `count` moments of a student get a heat map, first and last included."""
        shown = np.linspace(0, count - 1, min(count, self.heat_maps))
        return np.unique(shown.round().astype(int)).tolist()


def most_moved_pairs(matrices: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Returns the off-diagonal entries with the largest max_t Φ_t(i, j) − min_t Φ_t(i, j).

    Args:
        matrices: [times, C, C].
        count: how many, at most.

    Returns:
        Pairs (i, j), the one that moved the most first.
    """
    moved = np.ptp(matrices, axis=0)
    classes = len(moved)
    order = np.argsort(-moved, axis=None, kind="stable")
    pairs = [(int(k) // classes, int(k) % classes) for k in order]
    return [(i, j) for i, j in pairs if i != j][:count]
