"""A classifier's loss, applied to every word of a translation."""

from __future__ import annotations

from typing import Any

import gin
import tensorflow as tf

from tf_l2t.checks import instance_of
from tf_l2t.losses.base import Loss
from tf_l2t.types import Nest, Outputs, TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class PerToken(Loss):
    """The sum of a loss over the words of the reference, the end of the sentence among them.

        l(p, y) = Σ_r l'(p_r, y_r) / n̄

    n̄ is the mean length of the references of the batch (`TranslationTargets.mean_length`): the
    mean of a batch is a mean over its words. Padding counts for nothing.

    Args:
        loss: l' of a classifier, whose classes are the words; it gives, or asks a teacher for,
            the coefficients.

    Raises:
        ValueError: loss is no `Loss`, or one that wants candidates; when called, what l' raises.

    Example:
        >>> cross_entropy = PerToken(CrossEntropy())
        >>> label_smoothing = PerToken(LabelSmoothing(epsilon=0.1))

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.2: PerToken(DynamicDiagonal()) is the taught loss
    -Σ_r σ( y_r · diag(Φ) log p_r ), up to the division by n̄.
    """

    def __init__(self, loss: Loss) -> None:
        instance_of("PerToken", "loss", loss, Loss)
        if loss.num_candidates or isinstance(loss, PerToken):
            raise ValueError(
                f"PerToken: loss must be one of a classifier, got {type(loss).__name__}, which is "
                "one of whole sentences; use it without PerToken."
            )
        if type(loss).advance is not Loss.advance:
            raise ValueError(
                f"PerToken: loss must have no state of its own, got {type(loss).__name__}, which "
                "learns beside the student; make it a loss of whole sentences."
            )
        self.loss = loss
        self.formula = (
            "sum over the words r of a reference of l(p_r, y_r), divided by the mean length of the "
            f"references of the batch; {loss.formula}"
        )

    def schedule(self, step: tf.Tensor) -> Nest:
        """Returns the coefficients of the loss of a word."""
        return self.loss.schedule(step)

    def coefficient_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Returns the coefficients of the loss of a word, for a vocabulary of `num_classes`."""
        return self.loss.coefficient_shapes(num_classes)

    def arguments(self) -> dict[str, Any]:
        """Returns {"loss": {"class": ..., "arguments": ...}}."""
        return {
            "loss": {"class": type(self.loss).__name__, "arguments": self.loss.arguments()},
        }

    def __call__(
        self, outputs: TranslationOutputs, targets: TranslationTargets, coefficients: Nest
    ) -> tf.Tensor:
        """Returns the loss of every example, [batch]; the coefficients are those of a word."""
        logits = outputs.logits
        words = tf.reshape(targets.sentences.ids, [-1])
        flat = Outputs(tf.reshape(logits, [-1, logits.shape[-1]]))
        losses = tf.reshape(self.loss(flat, words, coefficients), tf.shape(logits)[:-1])
        total = tf.reduce_sum(losses * targets.sentences.mask(logits.dtype), axis=-1)
        return total / tf.cast(targets.mean_length, logits.dtype)
