"""What a measure is: the interface, without an algorithm in it."""

from __future__ import annotations

import abc

import tensorflow as tf

from tf_l2t.types import Nest


class Measure(abc.ABC):
    """A differentiable score of held-out examples: the higher, the better.

    Attributes:
        num_candidates: translations that it wants proposed for each example, 0 for none.
    """

    num_candidates: int = 0

    @abc.abstractmethod
    def __call__(self, outputs: Nest, targets: Nest) -> tf.Tensor:
        """Returns the score of every example, [batch], in the dtype of `outputs.logits`.

        Args:
            outputs: what the student returned for the batch: `Outputs` of a classifier,
                `TranslationOutputs` of one that translates.
            targets: class indices, int32 [batch], or `TranslationTargets`.
        """
