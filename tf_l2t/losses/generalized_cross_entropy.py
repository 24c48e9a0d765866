"""A loss between cross entropy and mean absolute error, for labels of which some are wrong."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.losses.base import Loss
from tf_l2t.measures.log_probabilities import log_probability_of
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class GeneralizedCrossEntropy(Loss):
    """The Box-Cox transform of the probability of the target.

        l(p, y) = (1 - p_y^q) / q

    It tends to cross entropy for q → 0 and is 1 - p_y, which counts every example alike, for
    q = 1: an example that the student does not believe in pulls with p_y^q of its weight.

    Args:
        q: in (0, 1].

    Raises:
        ValueError: q is outside (0, 1].

    Example:
        >>> loss = GeneralizedCrossEntropy(q=1.0)
        >>> loss(Outputs(tf.constant([[0.0, 0.0]])), tf.constant([1]), {})  # [0.5]

    Zhang & Sabuncu (NeurIPS 2018), "Generalized Cross Entropy Loss for Training Deep Neural
    Networks with Noisy Labels", equation (6); q = 0.7 there.
    """

    formula = "l(p, y) = (1 - p_y^q) / q"

    def __init__(self, *, q: float = 0.7) -> None:
        if not 0 < q <= 1:
            raise ValueError(
                f"GeneralizedCrossEntropy: q must be in (0, 1], got {q}; use 0.7 as its authors do."
            )
        self.q = q

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch]; reads no coefficients."""
        del coefficients
        log_p = log_probability_of(outputs.logits, targets)
        return -tf.math.expm1(self.q * log_p) / self.q
