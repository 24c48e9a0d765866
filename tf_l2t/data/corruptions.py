"""Training labels that are wrong, and classes that are rare: what real data sets suffer from."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import gin
import numpy as np

from tf_l2t.checks import one_of, whole_number
from tf_l2t.data.permutations import uniform

MNIST_PAIRS = ((2, 7), (3, 8), (5, 6), (6, 5), (7, 1))
"""The flips of MNIST of Patrini et al. (CVPR 2017): digits that look like each other."""

CIFAR10_PAIRS = ((9, 1), (2, 0), (4, 7), (3, 5), (5, 3))
"""Theirs of CIFAR-10: truck to automobile, bird to airplane, deer to horse, cat and dog."""

_PAIRS = {"mnist": MNIST_PAIRS, "cifar10": CIFAR10_PAIRS}

_FLIPS, _RARE = 2, 3


class Corruption(abc.ABC):
    """Spoils labelled training examples, the same way for the same seed.

    Attributes of a subclass must be JSON values: results.json says them.

    Args:
        seed: of what is spoiled; a number from 0.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = whole_number(type(self).__name__, "seed", seed, 0)

    @abc.abstractmethod
    def __call__(self, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows of the examples that stay, and the labels that they get.

        Args:
            labels: true classes, int32 [examples].
            num_classes: C.

        Raises:
            ValueError: if it does not fit these classes.
        """

    def transition_matrix(self, num_classes: int) -> np.ndarray | None:
        """Returns P(label j | class i), [C, C]; None where labels stay what they are."""
        del num_classes
        return None

    def describe(self) -> dict[str, Any]:
        """Returns name and arguments, as results.json says them."""
        return {"name": type(self).__name__, **vars(self)}


class _Flips(Corruption):
    def __call__(self, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        matrix = self.transition_matrix(num_classes)
        assert matrix is not None
        draws = uniform(len(labels), self.seed, _FLIPS)
        # The last column is 1 but for rounding, and no draw may lie beyond it.
        limits = np.cumsum(matrix, axis=1)[:, :-1]
        flipped = np.empty(len(labels), np.int32)
        for label in range(num_classes):  # Not all at once: examples times classes are many.
            of_class = labels == label
            flipped[of_class] = np.searchsorted(limits[label], draws[of_class], side="right")
        return np.arange(len(labels)), flipped


@gin.register(module="tf_l2t")
class PairFlips(_Flips):
    """Flips labels between pairs of classes.

        P(j | i) = rate for each pair (i, j),    P(i | i) = 1 - what is flipped

    Args:
        pairs: (class, label that it is given); or "mnist" or "cifar10" for those of the paper.
        rate: part of a class that each of its pairs flips, in [0, 1].
        seed: of what is flipped.

    Raises:
        ValueError: for a rate outside [0, 1], another name, a class paired with itself, or a class
            that loses more than it has.

    Patrini et al. (CVPR 2017), "Making Deep Neural Networks Robust to Label Noise", section 5.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]] | str = "mnist",
        rate: float = 0.45,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if isinstance(pairs, str):
            pairs = _PAIRS[one_of("PairFlips", "pairs", pairs, tuple(_PAIRS))]
        for pair in pairs:
            if np.shape(pair) != (2,):
                raise ValueError(
                    f"PairFlips: pairs must hold pairs of classes, got {pair!r} in {pairs!r}; give "
                    "((2, 7), (3, 8)), for example."
                )
        self.pairs = [[int(i), int(j)] for i, j in pairs]
        self.rate = _part("PairFlips", rate)
        if any(i == j for i, j in self.pairs):
            raise ValueError(f"PairFlips: a pair must be of two classes, got {self.pairs}.")

    def transition_matrix(self, num_classes: int) -> np.ndarray:
        matrix = np.eye(num_classes)
        for i, j in self.pairs:
            if not (0 <= i < num_classes and 0 <= j < num_classes):
                raise ValueError(
                    f"PairFlips: the pair {(i, j)} names a class that is not there; the data has "
                    f"{num_classes} classes, from 0."
                )
            matrix[i, j] += self.rate
            matrix[i, i] -= self.rate
        if matrix.min() < 0:
            raise ValueError(
                f"PairFlips: rate={self.rate} for {self.pairs} flips more of a class than there "
                "is; lower the rate."
            )
        return matrix


@gin.register(module="tf_l2t")
class UniformFlips(_Flips):
    """Gives a part of the examples a label drawn evenly from the other classes.

        P(j | i) = rate / (C - 1), j ≠ i,    P(i | i) = 1 - rate

    Args:
        rate: part of the labels that become wrong, in [0, 1].
        seed: of what is flipped.

    Raises:
        ValueError: for a rate outside [0, 1].
    """

    def __init__(self, rate: float = 0.45, *, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.rate = _part("UniformFlips", rate)

    def transition_matrix(self, num_classes: int) -> np.ndarray:
        _two_classes("UniformFlips", num_classes)
        matrix = np.full((num_classes, num_classes), self.rate / (num_classes - 1))
        np.fill_diagonal(matrix, 1 - self.rate)
        return matrix


@gin.register(module="tf_l2t")
def transition_matrix(corruption: Corruption, num_classes: int) -> np.ndarray:
    """Returns P(label j | class i) of a corruption, [C, C], for who may know it.

    Raises:
        ValueError: if the corruption leaves labels what they are.
    """
    matrix = corruption.transition_matrix(num_classes)
    if matrix is None:
        raise ValueError(
            f"transition_matrix: {type(corruption).__name__} changes no label; give PairFlips or "
            "UniformFlips."
        )
    return matrix


@gin.register(module="tf_l2t")
class LongTail(Corruption):
    """Leaves fewer and fewer examples of each class; their labels stay right.

        n_i = max_k n_k · imbalance^(-i / (C - 1)), at most what the class has

    Args:
        imbalance: how many times as many examples the first class keeps as the last, at least 1.
        seed: of the examples that stay.

    Raises:
        ValueError: for an imbalance below 1, or one that leaves nothing of a class.

    Cui et al. (CVPR 2019), "Class-Balanced Loss", section 5.1.
    """

    def __init__(self, imbalance: float = 100.0, *, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if not imbalance >= 1:
            raise ValueError(f"LongTail: imbalance must be at least 1, got {imbalance}.")
        self.imbalance = imbalance

    def __call__(self, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        _two_classes("LongTail", num_classes)
        counts = np.bincount(labels, minlength=num_classes)
        draws = uniform(len(labels), self.seed, _RARE)
        kept = []
        for k in range(num_classes):
            size = round(counts.max() * self.imbalance ** (-k / (num_classes - 1)))
            rows = np.flatnonzero(labels == k)
            if size < 1:
                raise ValueError(
                    f"LongTail: imbalance={self.imbalance} leaves nothing of class {k}; lower it."
                )
            kept.append(rows[np.argsort(draws[rows], kind="stable")[:size]])
        rows = np.sort(np.concatenate(kept))
        return rows, labels[rows]


def _two_classes(owner: str, num_classes: int) -> None:
    if num_classes < 2:
        raise ValueError(f"{owner} needs two classes or more, and the data has {num_classes}.")


def _part(owner: str, rate: float) -> float:
    if not 0 <= rate <= 1:
        raise ValueError(f"{owner}: rate must be in [0, 1], got {rate}; it is a part, not a %.")
    return float(rate)
