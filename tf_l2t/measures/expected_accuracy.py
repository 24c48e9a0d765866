"""Expected accuracy: the probability that a student gives to the target."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.checks import positive
from tf_l2t.measures.base import Measure
from tf_l2t.measures.log_probabilities import log_probability_of
from tf_l2t.types import Outputs


@gin.register(module="tf_l2t")
class ExpectedAccuracy(Measure):
    """The accuracy of a student that answers at random with its own probabilities.

        m̃ = Σ_y* 1[y* = y] p(y*|x) = p_y,    p = softmax(logits / temperature)

    Args:
        temperature: what the logits are divided by, > 0. The paper's is 1; a lower one is closer
            to the accuracy itself and asks less for sharper probabilities.

    Raises:
        ValueError: temperature is not positive and finite.

    Example:
        >>> ExpectedAccuracy()(Outputs(tf.constant([[0.0, 0.0]])), tf.constant([1]))  # [0.5]

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.1.
    """

    def __init__(self, *, temperature: float = 1.0) -> None:
        self.temperature = positive(
            "ExpectedAccuracy", "temperature", temperature, "use 1.0 for the paper's measure."
        )

    def __call__(self, outputs: Outputs, targets: tf.Tensor) -> tf.Tensor:
        """Returns the probability of the target of every example, [batch]."""
        return tf.exp(log_probability_of(outputs.logits / self.temperature, targets))
