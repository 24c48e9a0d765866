"""The smooth 0-1 loss."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import positive
from tf_l2t.losses.base import Loss
from tf_l2t.measures.log_probabilities import log_margin
from tf_l2t.types import Nest, Outputs


@gin.register(module="tf_l2t")
class SmoothZeroOne(Loss):
    """Almost nothing where the target is the most likely class, the margin times K elsewhere.

        l(p, y) = -log σ( K (log p_y - max_{j≠y} log p_j) )

    Finite for any logits: see `log_margin`, which clips the margin to ±1e4. The gradient is up
    to K times that of cross entropy; choose the learning rate accordingly.

    Args:
        sharpness: K, > 0, per nat.

    Raises:
        ValueError: sharpness is not positive and finite.

    Example:
        >>> loss = SmoothZeroOne(sharpness=50.0)
        >>> loss(Outputs(tf.constant([[1.0, 1.0]])), tf.constant([0]), {})  # [0.693]

    Nguyen and Sanner (ICML 2013), as a baseline of L2T-DLF (Wu et al., NeurIPS 2018), section 5.
    """

    formula = "l(p, y) = -log sigmoid(sharpness (log p_y - max_{j != y} log p_j))"

    def __init__(self, *, sharpness: float = 50.0) -> None:
        self.sharpness = positive(
            "SmoothZeroOne", "sharpness", sharpness, "use 50.0 for the paper's loss."
        )

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch]; reads no coefficients."""
        del coefficients
        return tf.nn.softplus(-self.sharpness * log_margin(outputs.logits, targets))
