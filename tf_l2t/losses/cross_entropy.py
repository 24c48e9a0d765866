"""Cross entropy, plain and with smoothed labels."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import part
from tf_l2t.losses.base import Loss
from tf_l2t.measures.log_probabilities import log_probabilities, log_probability_of, of_targets
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class CrossEntropy(Loss):
    """The negative log likelihood of the target, in nats.

        l(p, y) = -log p_y

    Finite for any logits: see `log_probabilities`, which makes 1e4 the largest value.

    Example:
        >>> CrossEntropy()(Outputs(tf.constant([[0.0, 0.0]])), tf.constant([1]), {})  # [0.693]

    The first baseline of L2T-DLF (Wu et al., NeurIPS 2018), section 5.
    """

    formula = "l(p, y) = -log p_y"

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch]; reads no coefficients."""
        del coefficients
        return -log_probability_of(outputs.logits, targets)


@gin.register(module="tf_l2t")
class LabelSmoothing(Loss):
    """Cross entropy to a mixture of the target and the uniform distribution.

        l(p, y) = -Σ_j q_j log p_j,    q_j = (1 - ε) 1[j = y] + ε / C

    Args:
        epsilon: weight ε of the uniform distribution, in [0, 1); 0 is cross entropy.

    Raises:
        ValueError: epsilon is outside [0, 1).

    Example:
        >>> loss = LabelSmoothing(epsilon=0.1)
        >>> loss(Outputs(tf.constant([[1.0, 0.0]])), tf.constant([0]), {})  # [0.363]

    Szegedy et al. (CVPR 2016), "Rethinking the Inception Architecture", section 7.
    """

    formula = "l(p, y) = -sum_j q_j log p_j; q_j = (1 - epsilon) 1[j = y] + epsilon / C"

    def __init__(self, *, epsilon: float = 0.1) -> None:
        self.epsilon = part("LabelSmoothing", "epsilon", epsilon, "use 0.1 for a usual amount.")

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch]; reads no coefficients."""
        del coefficients
        log_p = log_probabilities(outputs.logits)
        uniform = tf.reduce_mean(log_p, axis=-1)
        return (self.epsilon - 1) * of_targets(log_p, targets) - self.epsilon * uniform
