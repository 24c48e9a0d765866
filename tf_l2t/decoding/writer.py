"""Translations of sentences, as long as the sentences let them be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_l2t.decoding.beam_search import beam_search
from tf_l2t.decoding.loop import Step, most_words
from tf_l2t.decoding.sampling import sample
from tf_l2t.types import Nest, Sentences

Begin = Callable[[Sentences, Any], tuple[Nest, Nest]]
"""(source, max_length) -> (memory, state), as `Translator.begin`."""


class Writer:
    """Writes translations of at most factor · (words of the source) + extra words.

    Args:
        begin, step: of a translator.
        factor, extra: of the words of a translation.
    """

    def __init__(self, begin: Begin, step: Step, factor: float, extra: int) -> None:
        self._begin, self._step = begin, step
        self._factor, self._extra = factor, extra

    def best(self, source: Sentences, beam_size: int = 1, length_penalty: float = 0.0) -> Sentences:
        """Returns the translations [batch, beam, length] that a beam search finds, best first."""
        found = beam_search(*self._start(source), beam_size, length_penalty)
        return found.sentences

    def samples(self, source: Sentences, count: int, seed: tf.Tensor) -> Sentences:
        """Returns translations that are drawn from the student, [batch, count, length]."""
        return sample(*self._start(source), seed, count)

    def _start(self, source: Sentences) -> tuple[Step, Nest, Nest, tf.Tensor]:
        limits = longest(source.lengths, self._factor, self._extra)
        return (self._step, *self._begin(source, most_words(limits)), limits)


def longest(lengths: Any, factor: float, extra: int) -> tf.Tensor:
    """Returns the most words that translations of sources of these lengths have, int32."""
    return tf.cast(tf.math.ceil(factor * tf.cast(lengths, tf.float32)), tf.int32) + extra
