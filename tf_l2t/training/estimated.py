"""Losses that need an estimate before anything can be trained with them."""

from __future__ import annotations

import abc

import gin
import numpy as np

from tf_l2t.checks import part
from tf_l2t.losses.base import Loss
from tf_l2t.losses.forward_correction import ForwardCorrection


class EstimatedLoss(abc.ABC):
    """Makes a loss of what a student, trained on cross entropy before, makes of the dev data."""

    @abc.abstractmethod
    def __call__(self, mean_probabilities: np.ndarray) -> Loss:
        """Returns the loss.

        Args:
            mean_probabilities: [C, C], in row i the mean probabilities that the student gives to
                the dev examples of class i.
        """


@gin.register(module="tf_l2t")
class EstimatedForwardCorrection(EstimatedLoss):
    """Forward correction with the transition matrix that a noisy student shows on clean dev data.

        T̂[i, j] = mean of p_j(x) over the dev images x of class i

    A student that was trained on the noisy labels predicts the label that an image would be given,
    so that its mean predictions on images whose class is known are the flips. It also makes
    mistakes of its own, which leave small entries where nothing was flipped.

    Args:
        least: what is below it is taken for such a mistake, and set to 0, in [0, 1). At 0, as
            published, the matrix is what the student shows.

    Raises:
        ValueError: if it is outside its range.

    Hendrycks et al. (NeurIPS 2018), "Using Trusted Data to Train Deep Networks on Labels Corrupted
    by Severe Noise" (gold loss correction), equation (2).
    """

    def __init__(self, *, least: float = 0.0) -> None:
        part("EstimatedForwardCorrection", "least", least)
        self.least = least

    def __call__(self, mean_probabilities: np.ndarray) -> ForwardCorrection:
        """Returns forward correction; a class that has no entry left is taken to keep its labels.

        Raises:
            ValueError: for probabilities that are not finite, as of a student that diverged.
        """
        matrix = np.array(mean_probabilities, float)
        if not np.isfinite(matrix).all():
            raise ValueError(
                "EstimatedForwardCorrection: mean_probabilities must be finite, got "
                f"{matrix.tolist()}: the student on cross entropy diverged; give its row lower "
                "learning_rates."
            )
        matrix[matrix < self.least] = 0
        empty = matrix.sum(axis=1) == 0
        matrix[empty] = np.eye(len(matrix))[empty]
        return ForwardCorrection(matrix / matrix.sum(axis=1, keepdims=True))
