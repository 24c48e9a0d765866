"""The loss that a teacher of L2T-DLF shapes where there are too many classes for a matrix."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.losses.base import Loss, coefficient
from tf_l2t.measures.log_probabilities import log_probability_of
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class DynamicDiagonal(Loss):
    """A taught loss: `DynamicBilinear` whose Φ is diagonal, one coefficient a class.

        l_Φ(p, y) = -σ( yᵀ diag(Φ) log p ) = -σ( Φ[y] log p_y )

    For translation it is applied to every word, as PerToken(DynamicDiagonal()). -σ is flat far
    from 0, and a fresh student's log p_y is -log C, -9 for 10,000 words: Φ = 0.2 (bind
    `attention_teacher.diagonal`) has half the slope there that it has where p_y is 1, and there
    the loss is 0.2/4 of cross entropy. Coefficients smaller by a factor are nearer to cross
    entropy, and want a learning rate larger by it.

    Raises:
        ValueError: when called, if Φ is missing or its shape is not that of the logits' classes.

    Example:
        >>> outputs = Outputs(tf.constant([[0.0, 0.0]]))
        >>> DynamicDiagonal()(outputs, tf.constant([1]), {"phi": tf.ones(2)})  # [-0.333]

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.2.
    """

    formula = (
        "l(p, y) = -sigmoid(phi[y] log p_y); p = softmax(logits), log p at least -1e4; y is the "
        "true class"
    )

    def coefficient_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Returns {"phi": (C,)}."""
        return {"phi": (num_classes,)}

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch], in (-1, 0); the coefficient is Φ."""
        logits = outputs.logits
        # A gather and not a product with a one-hot: TF32 would round Φ.
        entries = tf.gather(coefficient(self, "phi", coefficients, logits), targets)
        return -tf.sigmoid(entries * log_probability_of(logits, targets))
