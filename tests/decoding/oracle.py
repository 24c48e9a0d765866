"""A student that is a table of logits, and all of its sentences with their probabilities."""

import numpy as np
import tensorflow as tf

from tf_l2t.data.vocabulary import BOS, EOS, PAD
from tf_l2t.types import Nest

WORDS, LONGEST = 6, 4


def tables(batch: int, seed: int = 0, spread: float = 1.5) -> np.ndarray:
    """Returns logits [batch, position, word before the last, last word, words]."""
    rng = np.random.default_rng(seed)
    return spread * rng.standard_normal((batch, LONGEST, WORDS, WORDS, WORDS))


def begin(logits: np.ndarray) -> tuple[Nest, Nest]:
    """Returns memory and state: the table, and the word before the last one."""
    memory = {"table": tf.constant(logits, tf.float32)}
    return memory, (tf.fill([len(logits)], BOS), tf.zeros([len(logits), 2]))


def step(ids: tf.Tensor, state: Nest, memory: Nest, position: tf.Tensor) -> tuple[tf.Tensor, Nest]:
    before, other = state
    at = tf.stack([tf.fill(tf.shape(ids), position), before, ids], -1)
    return tf.gather_nd(memory["table"], at, batch_dims=1), (ids, other + 1.0)


def every_sentence(logits: np.ndarray, max_length: int) -> dict[tuple[int, ...], float]:
    """Returns log p of each sentence of at most so many words, for the table of one source."""
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    found = {}

    def extend(sentence: tuple[int, ...], total: float) -> None:
        before, last = (BOS, BOS, *sentence)[-2:]
        for word in set(range(WORDS)) - {PAD, BOS}:
            longer, log = (*sentence, word), log_p[len(sentence), before, last, word]
            if word == EOS:
                found[longer] = total + log
            elif len(longer) < max_length:
                extend(longer, total + log)

    extend((), 0.0)
    return found


def sentences_of(ids: tf.Tensor, lengths: tf.Tensor) -> list[tuple[int, ...]]:
    """Returns the words of each sentence, and checks that they end and are padded as they must."""
    found = []
    for row, length in zip(np.asarray(ids), np.asarray(lengths), strict=True):
        sentence = tuple(int(word) for word in row[:length])
        assert (row[length:] == PAD).all()
        assert not {PAD, BOS} & set(sentence)
        assert sentence.index(EOS) == length - 1
        found.append(sentence)
    assert ids.shape[1] == max(lengths)
    return found
