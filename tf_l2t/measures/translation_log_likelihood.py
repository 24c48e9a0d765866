"""Dev cross entropy of translations, as something to maximise."""

from __future__ import annotations

import gin
import tensorflow as tf

from tf_l2t.measures.base import Measure
from tf_l2t.measures.candidates import sentence_log_probabilities
from tf_l2t.types import TranslationOutputs, TranslationTargets


@gin.register(module="tf_l2t")
class TranslationLogLikelihood(Measure):
    """The log likelihood of the reference, in nats a word.

        m̃ = log p(y|x) / n̄ = Σ_r log p(y_r|y_<r, x) / n̄

    n̄ is the mean length of the references of the batch (`TranslationTargets.mean_length`): the
    mean of a batch is a mean over its words, the negative logarithm of the perplexity.

    Example:
        >>> measure = TranslationLogLikelihood()

    The alternative to the expected BLEU of L2T-DLF (Wu et al., NeurIPS 2018), section 4.2.
    """

    def __call__(self, outputs: TranslationOutputs, targets: TranslationTargets) -> tf.Tensor:
        """Returns the log likelihood of every example, [batch]."""
        log_p = sentence_log_probabilities(outputs.logits, targets.sentences)
        return log_p / tf.cast(targets.mean_length, log_p.dtype)
