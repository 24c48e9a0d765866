"""Cross entropy through the noise that the labels went through."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from tf_l2t.losses.base import Loss
from tf_l2t.measures.log_probabilities import FLOOR, log_probabilities
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class ForwardCorrection(Loss):
    """Cross entropy of what the noise makes of the student's probabilities.

        l(p, y) = -log Σ_i p_i T[i, y]

    Its minimiser is the true class distribution, if T is what the labels went through.

    Args:
        transition_matrix: T[i, j] = P(label j | class i), [C, C], such as
            `PairFlips().transition_matrix(10)`.

    Raises:
        ValueError: if it is no square matrix of probabilities whose rows sum to 1; when called, if
            it is for another number of classes than the logits.

    Example:
        >>> loss = ForwardCorrection([[0.8, 0.2], [0.0, 1.0]])
        >>> loss(Outputs(tf.constant([[0.0, 0.0]])), tf.constant([0]), {})  # [0.916]

    Patrini et al. (CVPR 2017), "Making Deep Neural Networks Robust to Label Noise: a Loss
    Correction Approach", theorem 2.
    """

    formula = "l(p, y) = -log sum_i p_i T[i, y]"

    def __init__(self, transition_matrix: Sequence[Sequence[float]] | np.ndarray) -> None:
        matrix = np.asarray(transition_matrix, float)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(
                f"ForwardCorrection: transition_matrix must be square, got {matrix.shape}."
            )
        if not ((matrix >= 0).all() and np.allclose(matrix.sum(axis=1), 1, atol=1e-4)):
            raise ValueError(
                "ForwardCorrection: transition_matrix must hold P(label j | class i), each row "
                f"summing to 1, got the rows' sums {matrix.sum(axis=1).tolist()}."
            )
        self.transition_matrix = matrix.tolist()

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch]; reads no coefficients."""
        del coefficients
        log_p = log_probabilities(outputs.logits)
        classes = len(self.transition_matrix)
        if log_p.shape[-1] != classes:
            raise ValueError(
                f"ForwardCorrection: transition_matrix is for {classes} classes, and the student "
                f"has {log_p.shape[-1]}; give the matrix of this data."
            )
        with np.errstate(divide="ignore"):
            log_of_label = np.maximum(np.log(np.transpose(self.transition_matrix)), FLOOR)
        return through_noise(log_p, tf.constant(log_of_label, log_p.dtype), targets)


def through_noise(log_p: tf.Tensor, log_of_label: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns -log Σ_i p_i T[i, y], at most -FLOOR.

    Args:
        log_p: [batch, C].
        log_of_label: log T transposed, a row for each label, [C, C].
        targets: y, int32 [batch].
    """
    joint = log_p + tf.gather(log_of_label, targets)
    return -tf.maximum(tf.reduce_logsumexp(joint, axis=-1), FLOOR)
