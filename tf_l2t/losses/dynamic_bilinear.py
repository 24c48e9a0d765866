"""The loss that a teacher of L2T-DLF shapes."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.losses.base import Loss, coefficient
from tf_l2t.measures.log_probabilities import log_probabilities
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class DynamicBilinear(Loss):
    """A taught loss: bilinear in the target and the log probabilities, squashed by a sigmoid.

        l_Φ(p, y) = -σ( yᵀ Φ log p + b ) = -σ( Σ_j Φ[y, j] log p_j + b )

    A row of Φ is a true class, a column a predicted one. -σ is flat far from 0: Φ = 0.2·I keeps
    it near its linear part, where the loss is 0.2/4 of cross entropy.

    Args:
        bias: whether the teacher sets b too; the paper has none, its poster has.

    Raises:
        ValueError: when called, if a coefficient is missing or its shape is not that of the
            logits' classes.

    Example:
        >>> outputs = Outputs(tf.constant([[0.0, 0.0]]))
        >>> DynamicBilinear()(outputs, tf.constant([1]), {"phi": tf.eye(2)})  # [-0.333]

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.1.
    """

    formula = (
        "l(p, y) = -sigmoid(sum_j phi[y, j] log p_j + bias); p = softmax(logits), log p at least "
        "-1e4; y is the true class; bias is 0 where it is no coefficient"
    )

    def __init__(self, *, bias: bool = False) -> None:
        self.bias = bias

    def coefficient_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Returns {"phi": (C, C)}, and {"bias": ()} with it where the loss has one."""
        shapes: dict[str, tuple[int, ...]] = {"phi": (num_classes, num_classes)}
        return {**shapes, "bias": ()} if self.bias else shapes

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch], in (-1, 0); coefficients are Φ and b."""
        logits = outputs.logits
        phi = coefficient(self, "phi", coefficients, logits)
        # A gather and not a product with a one-hot: TF32 would round Φ.
        rows = tf.gather(phi, targets)
        score = tf.reduce_sum(rows * log_probabilities(logits), axis=-1)
        if self.bias:
            score += coefficient(self, "bias", coefficients, logits)
        return -tf.sigmoid(score)
