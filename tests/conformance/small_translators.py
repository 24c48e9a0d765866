"""Small translators, and sentences for them that are padded."""

import functools

import numpy as np
import tensorflow as tf

from tf_l2t import students
from tf_l2t.data.vocabulary import EOS, PAD
from tf_l2t.types import Sentences, TranslationInputs

SOURCE_SIZE, TARGET_SIZE = 11, 9
lstm = functools.partial(students.lstm_translator, embedding=4, units=5, dropout=0.25)
transformer = functools.partial(
    students.transformer_translator, layers=1, width=8, hidden=6, heads=2, dropout=0.25
)
# A builder's variants: every argument that changes how a translator computes.
BUILDERS = {
    "lstm_translator": lstm,
    "lstm_translator after": functools.partial(lstm, attention="after"),
    "lstm_translator fed": functools.partial(lstm, layers=2, input_feeding=True),
    "lstm_translator after, fed": functools.partial(lstm, attention="after", input_feeding=True),
    "transformer_translator": transformer,
    "transformer_translator normalised first": functools.partial(
        transformer, layers=2, normalize_first=True, tied_embeddings=False
    ),
}


def sentences(*lengths: int, size: int, seed: int = 0, padding: int = 0) -> Sentences:
    """Returns random sentences of some lengths; 0 is no sentence."""
    rng = np.random.default_rng(seed)
    ids = np.full((len(lengths), max(lengths)), PAD)
    for row, length in enumerate(lengths):
        if length:
            ids[row, :length] = [*rng.integers(EOS + 1, size, length - 1), EOS]
    ids = np.pad(ids, ((0, 0), (0, padding)), constant_values=PAD)
    return Sentences(tf.constant(ids, tf.int32), tf.constant(lengths, tf.int32))


def inputs(padding: int = 0) -> TranslationInputs:
    """Returns three examples, of which the batch's last target is as short as can be."""
    return TranslationInputs(
        sentences(3, 4, 1, size=SOURCE_SIZE, padding=padding),
        sentences(4, 2, 1, size=TARGET_SIZE, seed=1, padding=padding),
    )


def candidates(padding: int = 0) -> Sentences:
    """Returns two candidates of each example, one of which is no sentence."""
    ids, lengths = sentences(2, 5, 3, 0, 1, 4, size=TARGET_SIZE, seed=2, padding=padding)
    return Sentences(tf.reshape(ids, [3, 2, -1]), tf.reshape(lengths, [3, 2]))


def cross_entropy(logits: tf.Tensor, target: Sentences) -> tf.Tensor:
    """Returns the mean of -log p over the words of all sentences."""
    words = tf.nn.sparse_softmax_cross_entropy_with_logits(target.ids, logits)
    mask = target.mask(words.dtype)
    return tf.reduce_sum(words * mask) / tf.reduce_sum(mask)
