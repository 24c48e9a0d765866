"""A critic of translations: the value of every next word, and what it learns from."""

from __future__ import annotations

import functools
from typing import NamedTuple

import tensorflow as tf

from tf_l2t.measures.bleu import prefix_bleu
from tf_l2t.measures.log_probabilities import of_targets
from tf_l2t.students.held_weights import HeldWeights
from tf_l2t.students.lstm_translator import LSTMTranslator
from tf_l2t.students.translator import decode_candidates
from tf_l2t.types import Nest, Sentences

# Far from the seeds of students: layers of the same shapes are not to begin with the same weights.
_STREAM = 0x63726974


class CriticState(NamedTuple):
    """What a critic is between two steps."""

    steps: tf.Tensor
    """How many steps it has learnt, an int32 scalar."""
    weights: list[tf.Tensor]
    delayed: list[tf.Tensor]
    """Weights that follow these slowly; targets are made with them."""
    slots: Nest
    """Of the rule that updates the weights."""


class Critic(HeldWeights):
    """The value Q(a; y_1…y_{t-1}, Y) of every next word, as a function of the critic's weights.

    It is an `LSTMTranslator` without dropout from the reference Y to what the student writes: a
    bidirectional encoder of Y, attention, and a decoder over the words so far, whose outputs are
    read as values.

    Args:
        words: of the target vocabulary.
        embedding: width of its embeddings.
        units: width of its LSTMs, attention and readout.

    Bahdanau et al. (ICLR 2017), section 3: the critic has the architecture of the actor.
    """

    def __init__(self, words: int, embedding: int, units: int) -> None:
        build = functools.partial(
            LSTMTranslator, words, words, embedding=embedding, units=units, dropout=0.0
        )
        super().__init__(build, build())

    def fresh(self, seed: int) -> list[tf.Tensor]:
        """Returns the weights of the critic of a student's seed, before its first step."""
        weights, _ = self.initial((seed + _STREAM) % 2**32)
        return weights

    def __call__(
        self, weights: list[tf.Tensor], references: Sentences, sentences: Sentences
    ) -> tf.Tensor:
        """Returns the value of every word at every position of some sentences.

        Args:
            weights: like those of `fresh`.
            references: Y, ids [batch, reference length].
            sentences: what the student wrote, ids [batch, candidates, length].

        Returns:
            [batch, candidates, length, words].
        """
        values, _, _ = self._run(
            lambda model: decode_candidates(model, model.encode(references), sentences),
            weights,
            [],
            None,
        )
        return values


def rewards(sentences: Sentences, references: Sentences) -> tf.Tensor:
    """Returns by how much every word raises the BLEU of what is written so far.

        r_t = BLEU(y_1…y_t, Y) - BLEU(y_1…y_{t-1}, Y)

    Args:
        sentences: ids [batch, candidates, length].
        references: Y, ids [batch, reference length].

    Returns:
        [batch, candidates, length] in Keras' floatx; each sentence's sum is its `sentence_bleu`, 0
        for its end and behind it.

    Bahdanau et al. (ICLR 2017), section 3: their potential-based reward shaping.
    """
    scores = prefix_bleu(sentences, references)
    return scores - tf.pad(scores, [[0, 0], [0, 0], [1, 0]])[..., :-1]


def targets_of_values(
    rewards: tf.Tensor, probabilities: tf.Tensor, values: tf.Tensor, mask: tf.Tensor
) -> tf.Tensor:
    """Returns what the value of each written word should be; the last one's is its reward alone.

        q_t = r_t + Σ_a p(a|y_1…y_t) Q'(a; y_1…y_t, Y)

    Args:
        rewards: r_t, [batch, candidates, length].
        probabilities: p of the student at every position, [batch, candidates, length, words].
        values: Q' of the delayed critic, [batch, candidates, length, words].
        mask: 1 where there is a word, [batch, candidates, length].

    Returns:
        [batch, candidates, length].

    Bahdanau et al. (ICLR 2017), Algorithm 1.
    """
    expected = tf.reduce_sum(probabilities * values, axis=-1) * mask
    return rewards + tf.pad(expected, [[0, 0], [0, 0], [0, 1]])[..., 1:]


def critic_error(
    values: tf.Tensor, wanted: tf.Tensor, sentences: Sentences, value_penalty: float
) -> tf.Tensor:
    """Returns what a critic minimises, a mean over the written words.

        (Q(y_t) - q_t)² + λ Σ_a (Q(a) - mean_b Q(b))²

    Args:
        values: Q, [batch, candidates, length, words].
        wanted: q_t, [batch, candidates, length].
        sentences: y, ids [batch, candidates, length].
        value_penalty: λ.

    Returns:
        A scalar, 0 where there is no word at all.

    Bahdanau et al. (ICLR 2017), Algorithm 1, and the penalty C of section 3.
    """
    mask = sentences.mask(values.dtype)
    errors = tf.square(of_targets(values, sentences.ids) - wanted)
    spread = tf.square(values - tf.reduce_mean(values, axis=-1, keepdims=True))
    total = tf.reduce_sum(mask * (errors + value_penalty * tf.reduce_sum(spread, axis=-1)))
    return tf.math.divide_no_nan(total, tf.reduce_sum(mask))
