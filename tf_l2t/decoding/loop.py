"""The loop that writes one word after another, whichever way each is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_l2t.data.vocabulary import BOS, EOS, PAD
from tf_l2t.types import Nest, Sentences

Step = Callable[[tf.Tensor, Nest, Nest, tf.Tensor], tuple[tf.Tensor, Nest]]
"""(ids [n], state, memory, position) -> (logits [n, words], state), as `Translator.step`."""


def write(
    step: Step,
    memory: Nest,
    state: Nest,
    max_length: Any,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> Sentences:
    """Writes sentences, each until its EOS.

    Args:
        step: see `Step`.
        memory: what the student's `begin` returned.
        state: what the student's `begin` returned.
        max_length: words of the longest sentence, EOS among them, a scalar or [n], at least 1.
        choose: (logits [n, words], position) -> int32 [n]; the logits of words that must not be
            written are -inf, and `EOS` alone is left where a sentence has to end.

    Returns:
        ids [n, words of the longest], lengths [n].
    """
    n = batch_size(memory, state)
    limits = limits_of(max_length, n)

    def go_on(position: tf.Tensor, ids: tf.Tensor, ended: tf.Tensor, *_: Any) -> tf.Tensor:
        # Of no sentences a first word is written all the same, since none could be stacked.
        return tf.logical_not(tf.reduce_all(ended)) | (position == 0)

    def body(
        position: tf.Tensor, ids: tf.Tensor, ended: tf.Tensor, words: tf.TensorArray, state: Nest
    ) -> tuple[Any, ...]:
        logits, after = step(ids, state, memory, position)
        chosen = choose(allowed(logits, position, limits), position)
        # Of logits that are NaN anything may be chosen, which must end all the same.
        chosen = tf.clip_by_value(tf.cast(chosen, tf.int32), 0, tf.shape(logits)[-1] - 1)
        chosen = tf.where((position + 1 >= limits) | (chosen == PAD), EOS, chosen)
        chosen = tf.where(ended, PAD, chosen)
        words = words.write(position, chosen)
        return position + 1, chosen, ended | (chosen == EOS), words, like(after, state)

    start = (
        tf.constant(0),
        tf.fill([n], BOS),
        tf.zeros([n], tf.bool),
        tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None]),
        state,
    )
    _, _, _, words, _ = tf.while_loop(go_on, body, start, parallel_iterations=1)
    ids = tf.transpose(words.stack())
    return Sentences(ids, tf.math.count_nonzero(ids != PAD, -1, dtype=tf.int32))


def batch_size(memory: Nest, state: Nest) -> tf.Tensor:
    """Returns the number of sentences, which every tensor of a memory and a state has in front."""
    return tf.shape(tf.nest.flatten((memory, state))[0])[0]


def limits_of(max_length: Any, n: tf.Tensor) -> tf.Tensor:
    """Returns how many words each sentence may have, int32 [n].

    Raises:
        ValueError: if it is known to be below 1.
    """
    lengths = tf.convert_to_tensor(max_length)
    known = tf.get_static_value(lengths)
    if known is not None and (known < 1).any():
        raise ValueError(
            f"max_length must be at least 1, got {known}; it counts the word that ends a sentence."
        )
    return tf.broadcast_to(tf.cast(lengths, tf.int32), [n])


def most_words(limits: tf.Tensor) -> tf.Tensor:
    """Returns the most words that any of the sentences may have; 1 where there are no sentences."""
    return tf.maximum(tf.reduce_max(limits), 1)


def allowed(logits: tf.Tensor, position: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    """Returns logits [..., words] that leave -inf to what must not be written at a position.

    `PAD` and `BOS` are no words, and the last word of a sentence that has not ended is `EOS`.

    Args:
        logits: [..., words].
        position: int32 scalar.
        limits: the most words of each sentence, int32 [...].
    """
    words = tf.range(tf.shape(logits)[-1])
    last = (position + 1 >= limits)[..., tf.newaxis]
    return _banned(logits, _special(words) | (last & (words != EOS)))


def of_words(logits: tf.Tensor) -> tf.Tensor:
    """Returns logits [..., words] that leave -inf to `PAD` and `BOS`, which are never written."""
    return _banned(logits, _special(tf.range(tf.shape(logits)[-1])))


def _special(words: tf.Tensor) -> tf.Tensor:
    return (words == PAD) | (words == BOS)


def _banned(logits: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    return tf.where(where, tf.constant(-float("inf"), logits.dtype), logits)


def like(new: Nest, old: Nest) -> Nest:
    """Returns a nest with the structure that a loop started with, and its shapes in a graph."""
    tf.nest.assert_same_structure(new, old)
    if not tf.executing_eagerly():
        tf.nest.map_structure(lambda one, other: one.set_shape(other.shape), new, old)
    return new


def repeated(nest: Nest, times: int) -> Nest:
    """Returns each row of the tensors of a nest several times, one after the other."""
    return tf.nest.map_structure(lambda each: tf.repeat(each, times, 0), nest)
