"""A language of three numbers, its translation, and a translator that is traced in no time."""

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.data import Pairs
from tf_l2t.students import Translator
from tf_l2t.students.translator import shifted_right

GERMAN, ENGLISH = ("eins", "zwei", "drei"), ("one", "two", "three")


class BagTranslator(Translator):
    """Reads the mean of the source's words and the word before: small, and traced in no time."""

    def __init__(self, source_size: int, target_size: int, dropout: float = 0.3) -> None:
        super().__init__(name="bag")
        self.settings = source_size, target_size, dropout
        self.source = keras.layers.Embedding(source_size, 6, embeddings_initializer="normal")
        self.target = keras.layers.Embedding(target_size, 6, embeddings_initializer="normal")
        self.dropout = keras.layers.Dropout(dropout)
        self.logits = keras.layers.Dense(target_size)
        for layer, shape in ((self.source, None), (self.target, None), (self.logits, (None, 6))):
            layer.build(shape)
        self.built = True

    def get_config(self) -> dict:
        return dict(zip(("source_size", "target_size", "dropout"), self.settings, strict=True))

    def encode(self, source, training=False):
        ids, lengths = source
        mask = tf.sequence_mask(lengths, tf.shape(ids)[1], self.compute_dtype)[..., None]
        mean = tf.reduce_sum(self.source(ids) * mask, 1) / tf.reduce_sum(mask, 1)
        return self.dropout(mean, training=training)

    def decode(self, encoded, target, training=False):
        return self.logits(tf.tanh(self.target(shifted_right(target)) + encoded[:, None]))

    def begin(self, source, max_length):
        return self.encode(source), ()

    def step(self, ids, state, memory, position):
        return self.logits(tf.tanh(self.target(ids) + memory)), state


def pairs(count: int, seed: int) -> Pairs:
    random = np.random.default_rng(seed)
    numbers = [random.integers(0, 3, random.integers(1, 7)) for _ in range(count)]
    sides = [[" ".join(words[k] for k in each) for each in numbers] for words in (GERMAN, ENGLISH)]
    return Pairs(*map(tuple, sides))
