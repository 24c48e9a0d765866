"""What a measure is: the interface, without an algorithm in it."""

from __future__ import annotations

import abc

import tensorflow as tf

from tf_l2t.types import Outputs


class Measure(abc.ABC):
    """A differentiable score of held-out examples: the higher, the better."""

    @abc.abstractmethod
    def __call__(self, outputs: Outputs, targets: tf.Tensor) -> tf.Tensor:
        """Returns the score of every example, [batch], in the dtype of `outputs.logits`.

        Args:
            outputs: what the student returned for the batch.
            targets: class indices, int32 [batch].
        """
