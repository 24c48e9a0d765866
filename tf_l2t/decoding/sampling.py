"""Sampling from a student: sentences drawn word after word."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.decoding.loop import Step, batch_size, limits_of, repeated, write
from tf_l2t.types import Nest, Sentences


def sample(
    step: Step,
    memory: Nest,
    state: Nest,
    max_length: Any,
    seed: tf.Tensor,
    num_samples: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Sentences:
    """Draws sentences, each word from the distribution of the words after those before it.

        w_r ~ p(w | w_1 … w_{r-1}, source)^{1 / temperature}, normalised over the words left

    `PAD` and `BOS` are never written. A sentence that has not ended before it has as many words
    as it may ends there: its last word is EOS. The same seed draws the same sentences from the
    same batch.

    Args:
        step: (ids [n], state, memory, position) -> (logits [n, words], state).
        memory: what the student's `begin` returned.
        state: what the student's `begin` returned.
        max_length: the most words of a sentence, EOS among them, a scalar or int32 [batch].
        seed: int32 [2], of what is drawn.
        num_samples: sentences for each source, drawn apart.
        temperature: below 1 likely words become likelier, above 1 less likely.
        top_k: draw from so many of the likeliest words alone; None draws from all.
        top_p: draw from the fewest of the likeliest words alone whose probabilities, at the
            temperature and after top_k, sum to this part or more; None draws from all.

    Returns:
        ids [batch, num_samples, length], lengths [batch, num_samples].

    Raises:
        ValueError: for a max_length, num_samples or top_k below 1, a temperature that is not
            above 0, or a top_p outside (0, 1].

    Fan, Lewis & Dauphin, "Hierarchical Neural Story Generation" (ACL 2018) for top_k; Holtzman et
    al., "The Curious Case of Neural Text Degeneration" (ICLR 2020) for top_p.
    """
    whole_number("sample", "num_samples", num_samples, 1)
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"sample: temperature must be in (0, inf), got {temperature}; 1 leaves the "
            "probabilities as they are, and greedy takes the likeliest word."
        )
    if top_k is not None:
        whole_number("sample", "top_k", top_k, 1)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"sample: top_p must be in (0, 1], got {top_p}; it is a part, not a %.")
    batch = batch_size(memory, state)
    limits = limits_of(max_length, batch)
    memory, state = repeated((memory, state), num_samples)

    def draw(logits: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        logits = logits / tf.cast(temperature, logits.dtype)
        if top_k is not None:
            logits = _likeliest(logits, top_k)
        # At 1 rounding of the sum would leave out the last of many words.
        if top_p is not None and top_p < 1:
            logits = _nucleus(logits, top_p)
        at = tf.random.experimental.stateless_fold_in(seed, position)
        return tf.random.stateless_categorical(logits, 1, at, tf.int32)[:, 0]

    ids, lengths = write(step, memory, state, repeated(limits, num_samples), draw)
    return Sentences(
        tf.reshape(ids, [batch, num_samples, tf.shape(ids)[1]]),
        tf.reshape(lengths, [batch, num_samples]),
    )


def _likeliest(logits: tf.Tensor, number: int) -> tf.Tensor:
    """Leaves -inf to all but so many of the words; ties stay."""
    number = tf.minimum(number, tf.shape(logits)[-1])
    return _at_least(logits, tf.math.top_k(logits, number).values[:, -1:])


def _nucleus(logits: tf.Tensor, part: float) -> tf.Tensor:
    """Leaves -inf to all but the fewest words that together have a part of the probability."""
    ordered = tf.sort(logits, direction="DESCENDING")
    before = tf.cumsum(tf.nn.softmax(ordered), -1, exclusive=True)
    inside = tf.where(before < part, ordered, tf.constant(math.inf, logits.dtype))
    return _at_least(logits, tf.reduce_min(inside, -1, keepdims=True))


def _at_least(logits: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    return tf.where(logits >= least, logits, tf.constant(-math.inf, logits.dtype))
