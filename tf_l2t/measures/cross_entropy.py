"""Dev cross entropy, as something to maximise."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.measures.base import Measure
from tf_l2t.measures.log_probabilities import log_probability_of
from tf_l2t.types import Outputs


@gin.register(module="tf_l2t")
class NegativeCrossEntropy(Measure):
    """The log likelihood of the target, in nats.

        m̃ = log p_y

    Finite for any logits: see `log_probabilities`, which floors it at -1e4.

    Example:
        >>> NegativeCrossEntropy()(Outputs(tf.constant([[0.0, 0.0]])), tf.constant([1]))  # [-0.693]

    The alternative to the expected accuracy of L2T-DLF (Wu et al., NeurIPS 2018), section 4.1.
    """

    def __call__(self, outputs: Outputs, targets: tf.Tensor) -> tf.Tensor:
        """Returns the log probability of the target of every example, [batch]."""
        return log_probability_of(outputs.logits, targets)
