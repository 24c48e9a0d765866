"""A corpus as indices of words, in memory, and batches of it in graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.data.parallel_text import Pairs
from tf_l2t.data.text_encoders import TextEncoder
from tf_l2t.data.vocabulary import PAD
from tf_l2t.types import Sentences

_CHUNK = 20_000
"""Sentences that are encoded at once."""


class EncodedPairs(NamedTuple):
    """Sentence pairs as indices of words; make them of text with `encode_pairs`."""

    source: tf.RaggedTensor
    """int32 [pairs, None], each sentence with `EOS` at its end."""
    target: tf.RaggedTensor
    """The same of the translations."""

    @property
    def num_pairs(self) -> int:
        """Number of pairs."""
        return int(self.source.nrows())

    @property
    def lengths(self) -> np.ndarray:
        """Words of each source and each target, `EOS` counted, int64 [pairs, 2]."""
        return np.stack([side.row_lengths().numpy() for side in self], axis=1)

    def gather(self, rows: tf.Tensor) -> tuple[Sentences, Sentences]:
        """Returns the source and the target of a batch, for use within a `tf.function`.

        Args:
            rows: indices of pairs, int32 [rows]; -1 stands for none and is left out.

        Returns:
            Sentences, both [batch, length], padded to the longest of the batch.
        """
        rows = tf.boolean_mask(rows, rows >= 0)
        return _sentences(self.source, rows), _sentences(self.target, rows)


def encode_pairs(
    pairs: Pairs,
    source_encoder: TextEncoder,
    target_encoder: TextEncoder,
    max_length: int | None = None,
    max_length_ratio: float | None = None,
) -> tuple[EncodedPairs, np.ndarray]:
    """Encodes text, and leaves out what is too long.

    Args:
        pairs: the text.
        source_encoder: for the language to translate from.
        target_encoder: for the language to translate into; may be the same object.
        max_length: words or pieces that a sentence may have, its end counted; None bounds none.
        max_length_ratio: how many times as long as the other a sentence of a pair may be, from 1;
            None bounds none.

    Returns:
        The encoded pairs that are left, and which they are: rows of `pairs`, int64 [left].

    Raises:
        ValueError: a bound is out of range, or leaves no pair.

    Example:
        >>> train, rows = encode_pairs(text.train, encoder, encoder, max_length=100)
        >>> print(f"{len(text.train.source) - len(rows)} pairs are too long")
    """
    if max_length is not None:
        whole_number("encode_pairs", "max_length", max_length, 2)
    if max_length_ratio is not None and not max_length_ratio >= 1:
        raise ValueError(f"max_length_ratio is {max_length_ratio}: give a number from 1")
    encoded = EncodedPairs(
        _encode(source_encoder, pairs.source), _encode(target_encoder, pairs.target)
    )
    lengths = encoded.lengths
    longer, shorter = lengths.max(axis=1), lengths.min(axis=1)
    left = np.ones(len(lengths), bool)
    if max_length is not None:
        left &= longer <= max_length
    if max_length_ratio is not None:
        left &= longer <= max_length_ratio * shorter
    rows = np.flatnonzero(left)
    if len(rows) == 0:
        raise ValueError(
            f"max_length is {max_length} and max_length_ratio {max_length_ratio}, which leaves "
            f"none of {len(lengths)} pairs; the shortest has {longer.min()} words: give more"
        )
    if len(rows) == len(lengths):
        return encoded, rows
    return EncodedPairs(*(tf.gather(side, rows) for side in encoded)), rows


def _encode(encoder: TextEncoder, sentences: Sequence[str]) -> tf.RaggedTensor:
    """Returns the indices of all sentences, int32 [sentences, None]."""
    chunks = [
        encoder.encode(tf.constant(sentences[start : start + _CHUNK], tf.string))
        for start in range(0, len(sentences), _CHUNK)
    ]
    return tf.concat(chunks, axis=0)


def _sentences(corpus: tf.RaggedTensor, rows: tf.Tensor) -> Sentences:
    lengths = tf.gather(corpus.row_lengths(), rows)
    positions = tf.range(tf.reduce_max(tf.pad(lengths, [[0, 1]])))
    inside = positions < lengths[:, None]
    # A gather of its own, because that of ragged tensors makes more ops, and this runs each step.
    places = tf.where(inside, tf.gather(corpus.row_starts(), rows)[:, None] + positions, 0)
    ids = tf.where(inside, tf.gather(corpus.values, places), PAD)
    return Sentences(ids, tf.cast(lengths, tf.int32))
