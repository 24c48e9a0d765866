"""Smooth 0-1 accuracy: a sigmoid of the margin in place of its sign."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import positive
from tf_l2t.measures.base import Measure
from tf_l2t.measures.log_probabilities import log_margin
from tf_l2t.types import Outputs


@gin.register(module="tf_l2t")
class SmoothZeroOneAccuracy(Measure):
    """Close to 1 where the target is the most likely class, close to 0 elsewhere.

        m̃ = σ( K (log p_y - max_{j≠y} log p_j) )

    Unlike expected accuracy it is indifferent to how sharp the probabilities are, once the
    margin is a few times 1/K nats.

    Args:
        sharpness: K, > 0, per nat. As K grows the measure becomes the accuracy and its gradient
            that of the examples at the decision boundary alone.

    Raises:
        ValueError: sharpness is not positive and finite.

    Example:
        >>> SmoothZeroOneAccuracy()(Outputs(tf.constant([[1.0, 1.0]])), tf.constant([0]))  # [0.5]

    Nguyen and Sanner (ICML 2013); the sigmoid of the smooth 0-1 loss of L2T-DLF (Wu et al.,
    NeurIPS 2018), section 5.
    """

    def __init__(self, *, sharpness: float = 50.0) -> None:
        self.sharpness = positive(
            "SmoothZeroOneAccuracy", "sharpness", sharpness, "use 10.0 to 50.0 as usual values."
        )

    def __call__(self, outputs: Outputs, targets: tf.Tensor) -> tf.Tensor:
        """Returns the smooth accuracy of every example, [batch]."""
        return tf.sigmoid(self.sharpness * log_margin(outputs.logits, targets))
