"""What turns text into the indices that a student reads, and back: the interface."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tf_l2t.data.vocabulary import BOS, EOS, PAD


class TextEncoder(tf.Module, abc.ABC):
    """Text to indices of words, or of pieces of words, and back.

    Both ways run inside a `tf.function`, and a SavedModel that holds the encoder as an attribute
    holds all that it needs.

    Attributes:
        lowercase: whether text is read in lower case.
    """

    lowercase: bool

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of indices, those of `data.vocabulary` among them."""

    @property
    @abc.abstractmethod
    def words(self) -> list[str]:
        """The word, or piece of a word, of every index."""

    @abc.abstractmethod
    def encode(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """Returns the indices of each sentence, int32 [sentences, None], `EOS` at its end.

        Args:
            strings: sentences in UTF-8, tf.string [sentences].
        """

    @abc.abstractmethod
    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the text of each sentence up to its first `EOS`, tf.string [sentences].

        Args:
            ids: indices from 0 to `size` - 1, int32 [sentences, length]; of `PAD` and `BOS`
                nothing is seen in the text.
        """

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns what the encoder is, for a report in JSON."""


def with_end(words: tf.RaggedTensor) -> tf.RaggedTensor:
    """Returns sentences with `EOS` after the last word of each, [sentences, None]."""
    return tf.concat([words, tf.fill([words.nrows(), 1], tf.constant(EOS, words.dtype))], axis=1)


def without_special(ids: tf.Tensor) -> tf.RaggedTensor:
    """Returns what each sentence has before its first `EOS`, less `PAD` and `BOS`."""
    ended = tf.math.cumsum(tf.cast(ids == EOS, tf.int32), axis=1)
    return tf.ragged.boolean_mask(ids, (ended == 0) & (ids != PAD) & (ids != BOS))


def lower(strings: tf.Tensor) -> tf.Tensor:
    """Returns strings in UTF-8 in lower case, tf.string."""
    return tf.strings.lower(strings, encoding="utf-8")


def lowered(sentences: Iterable[str]) -> list[str]:
    """Returns sentences in the lower case of `lower`, which need not be that of Python."""
    return [line.decode() for line in lower(tf.constant(list(sentences), tf.string)).numpy()]
