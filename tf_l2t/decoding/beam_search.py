"""Beam search with a length penalty."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.data.vocabulary import BOS, EOS, PAD
from tf_l2t.decoding.loop import Step, allowed, batch_size, like, limits_of, most_words, repeated
from tf_l2t.measures.log_probabilities import log_probabilities
from tf_l2t.types import Nest, Sentences


class Hypotheses(NamedTuple):
    """The best translations of each sentence, best first."""

    sentences: Sentences
    """ids [batch, beam, length], lengths [batch, beam]; length 0 where there were not so many."""
    log_probs: tf.Tensor
    """log p of each, [batch, beam]; -inf where there is none."""
    scores: tf.Tensor
    """What they are sorted by, [batch, beam]: log p divided by the length penalty."""


class _Beam(NamedTuple):
    """What the loop carries: sentences that go on, and the best of those that have ended."""

    position: tf.Tensor
    words: tf.Tensor  # the word that each wrote last, [batch, beam]
    ids: tf.Tensor  # [batch, beam, length]
    log_probs: tf.Tensor  # [batch, beam]
    ended: Hypotheses
    state: Nest  # [batch * beam, ...]


def beam_search(
    step: Step,
    memory: Nest,
    state: Nest,
    max_length: Any,
    beam_size: int = 5,
    length_penalty: float = 0.0,
) -> Hypotheses:
    """Searches for the sentences with the highest scores, going on with the best few prefixes.

        score = log p(w_1 … w_n | source) / ((5 + n) / 6)^α        n counts EOS

    Of the continuations of all prefixes the best 2 · beam_size are looked at: those among the
    first beam_size that end are kept, and the search goes on with the best beam_size that do not
    end. It stops when no prefix can end better than all that is kept. With α = 0 and a beam of 1
    that is `greedy`; with a beam as large as the number of prefixes it finds the maximum.

    `PAD` and `BOS` are never written. A sentence that has not ended before it has as many words
    as it may ends there: its last word is EOS, whose probability counts.

    Args:
        step: (ids [n], state, memory, position) -> (logits [n, words], state).
        memory: what the student's `begin` returned.
        state: what the student's `begin` returned.
        max_length: the most words of a sentence, EOS among them, a scalar or int32 [batch].
        beam_size: how many prefixes go on, and how many sentences are returned.
        length_penalty: α; 0 compares probabilities, and more favours longer sentences.

    Returns:
        The best sentences.

    Raises:
        ValueError: for a max_length or a beam_size below 1, or a length_penalty below 0.

    Wu et al., "Google's Neural Machine Translation System" (2016), section 7.
    """
    whole_number("beam_search", "beam_size", beam_size, 1)
    if not 0 <= length_penalty < math.inf:
        raise ValueError(
            f"beam_search: length_penalty must be in [0, inf), got {length_penalty}; 0.6 is usual."
        )
    memory, state = repeated((memory, state), beam_size)
    batch = batch_size(memory, state) // beam_size
    limits = limits_of(max_length, batch)
    most = most_words(limits)
    minus_inf = tf.constant(-math.inf, keras.config.floatx())
    none = tf.fill([batch, beam_size], minus_inf)
    no_words = tf.fill([batch, beam_size, most], PAD)
    start = _Beam(
        position=tf.constant(0),
        words=tf.fill([batch, beam_size], BOS),
        ids=no_words,
        # One prefix has no words: the others of the beam are none until it goes on.
        log_probs=tf.where(tf.range(beam_size) == 0, tf.zeros_like(minus_inf), none),
        ended=Hypotheses(Sentences(no_words, tf.zeros_like(no_words[..., 0])), none, none),
        state=state,
    )

    def may_improve(beam: _Beam) -> tf.Tensor:
        best = tf.reduce_max(beam.log_probs, -1) / _penalty(limits, length_penalty)
        better = tf.reduce_any(best > tf.reduce_min(beam.ended.scores, -1))
        return better & (beam.position < most)

    def body(beam: _Beam) -> tuple[_Beam]:
        ids = tf.reshape(beam.words, [-1])
        logits, after = step(ids, beam.state, memory, beam.position)
        log_p = log_probabilities(tf.cast(logits, minus_inf.dtype))
        words = tf.shape(log_p)[-1]
        log_p = tf.reshape(log_p, [batch, beam_size, words])
        log_p = allowed(log_p, beam.position, limits[:, tf.newaxis])
        totals = tf.reshape(beam.log_probs[..., tf.newaxis] + log_p, [batch, beam_size * words])
        best, index = tf.math.top_k(totals, 2 * beam_size)
        prefixes = _Prefixes(index // words, index % words, best)
        new = _go_on(beam, prefixes, like(after, beam.state))
        return (new._replace(ended=_keep(beam, prefixes, length_penalty)),)

    (end,) = tf.while_loop(may_improve, body, (start,), parallel_iterations=1)
    found = end.ended.log_probs > minus_inf
    lengths = tf.where(found, end.ended.sentences.lengths, 0)
    ids = tf.where(found[..., tf.newaxis], end.ended.sentences.ids, PAD)
    # Of logits that are NaN there is no sentence, and still a word of padding.
    ids = ids[..., : tf.maximum(tf.reduce_max(lengths), 1)]
    return end.ended._replace(sentences=Sentences(ids, lengths))


class _Prefixes(NamedTuple):
    """The best continuations of the prefixes of a beam, best first, each [batch, 2 * beam]."""

    parents: tf.Tensor
    words: tf.Tensor
    log_probs: tf.Tensor


def _go_on(beam: _Beam, prefixes: _Prefixes, state: Nest) -> _Beam:
    """Returns the beam of the best continuations that do not end."""
    size = beam.words.shape[1]
    minus_inf = tf.constant(-math.inf, prefixes.log_probs.dtype)
    going = tf.where(prefixes.words == EOS, minus_inf, prefixes.log_probs)
    log_probs, at = tf.math.top_k(going, size)
    parents, words = (tf.gather(each, at, batch_dims=1) for each in prefixes[:2])
    ids = _written(beam, parents, words)
    rows = tf.reshape(tf.range(tf.shape(at)[0])[:, tf.newaxis] * size + parents, [-1])
    return beam._replace(
        position=beam.position + 1,
        words=words,
        ids=ids,
        log_probs=log_probs,
        state=like(tf.nest.map_structure(lambda each: tf.gather(each, rows), state), beam.state),
    )


def _keep(beam: _Beam, prefixes: _Prefixes, length_penalty: float) -> Hypotheses:
    """Returns the best of the sentences that had ended and of those that end now."""
    size, ended = beam.words.shape[1], beam.ended
    length = beam.position + 1
    first = tf.range(2 * size) < size
    log_probs = tf.where(
        first & (prefixes.words == EOS),
        prefixes.log_probs,
        tf.constant(-math.inf, prefixes.log_probs.dtype),
    )
    ids = _written(beam, prefixes.parents, prefixes.words)
    new = Hypotheses(
        Sentences(ids, tf.fill(tf.shape(prefixes.words), length)),
        log_probs,
        log_probs / _penalty(length, length_penalty),
    )
    both = tf.nest.map_structure(lambda one, other: tf.concat([one, other], 1), ended, new)
    _, at = tf.math.top_k(both.scores, size)
    return like(tf.nest.map_structure(lambda each: tf.gather(each, at, batch_dims=1), both), ended)


def _written(beam: _Beam, parents: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
    """Returns the prefixes of some parents with one more word each."""
    ids = tf.gather(beam.ids, parents, batch_dims=1)
    here = tf.range(tf.shape(ids)[-1]) == beam.position
    return tf.where(here, words[..., tf.newaxis], ids)


def _penalty(lengths: tf.Tensor, alpha: float) -> tf.Tensor:
    """Returns ((5 + n) / 6)^α."""
    return ((5 + tf.cast(lengths, keras.config.floatx())) / 6) ** alpha
