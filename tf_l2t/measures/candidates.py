"""How likely a student finds the translations that were proposed, and how good those are."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_l2t.measures.log_probabilities import log_probability_of
from tf_l2t.types import Candidates, Sentences, TranslationOutputs, TranslationTargets


class ScoredCandidates(NamedTuple):
    """Candidates as sequence losses read them; all [batch, candidates]."""

    log_p: tf.Tensor
    """log p(u|x) of each sentence; of one that does not count, any finite number."""
    lengths: tf.Tensor
    """Words of each, at least 1, in the dtype of `log_p`."""
    scores: tf.Tensor
    """Sentence BLEU of each, in the dtype of `log_p`, constant."""
    counts: tf.Tensor
    """bool: whether there is such a candidate and it is to count."""


def sentence_log_probabilities(logits: tf.Tensor, sentences: Sentences) -> tf.Tensor:
    """Returns the log probability of every sentence, padding left out.

        log p(y|x) = Σ_r log p(y_r|y_<r, x)

    Every word's is floored at -1e4 (see `log_probabilities`), so that it is finite.

    Args:
        logits: float [..., length, words].
        sentences: ids int32 [..., length].

    Returns:
        [...], in the dtype of `logits`, in nats; 0 for a row that is no sentence.
    """
    of_words = log_probability_of(logits, sentences.ids)
    return tf.reduce_sum(of_words * sentences.mask(logits.dtype), axis=-1)


def proposed(
    owner: str, outputs: TranslationOutputs, targets: TranslationTargets
) -> tuple[tf.Tensor, Candidates]:
    """Returns the logits of the candidates' words, and the candidates.

    Args:
        owner: who asks, for the message.
        outputs: with `candidate_logits`.
        targets: with `candidates`.

    Raises:
        ValueError: if either is missing.
    """
    if outputs.candidate_logits is None or targets.candidates is None:
        missing = "targets.candidates" if targets.candidates is None else "outputs.candidate_logits"
        raise ValueError(
            f"{owner}: {missing} is missing; give batches of as many candidates as "
            "num_candidates says, and a student that is given them."
        )
    return outputs.candidate_logits, targets.candidates


def candidate_log_probabilities(
    owner: str, outputs: TranslationOutputs, targets: TranslationTargets
) -> tuple[tf.Tensor, Candidates]:
    """Returns log p(u|x) of each candidate, [batch, candidates], and the candidates.

    Args and Raises are those of `proposed`.
    """
    logits, candidates = proposed(owner, outputs, targets)
    return sentence_log_probabilities(logits, candidates.sentences), candidates


def scored_candidates(
    owner: str,
    outputs: TranslationOutputs,
    targets: TranslationTargets,
    *,
    include_reference: bool,
    distinct: bool,
) -> ScoredCandidates:
    """Returns the candidates with how likely and how good each is.

    Args:
        owner: who asks, for the message.
        outputs: of the student.
        targets: what it was to predict.
        include_reference: whether the reference is one of them, the first, with a score of 1.
        distinct: whether of candidates with the same words only the first counts.

    Raises:
        ValueError: if there are no candidates.
    """
    log_p, candidates = candidate_log_probabilities(owner, outputs, targets)
    sentences, scores = candidates.sentences, tf.cast(candidates.scores, log_p.dtype)
    if include_reference:
        of_reference = sentence_log_probabilities(outputs.logits, targets.sentences)
        log_p = tf.concat([of_reference[:, tf.newaxis], log_p], axis=1)
        scores = tf.concat([tf.ones_like(scores[:, :1]), scores], axis=1)
        sentences = _with_first(targets.sentences, sentences)
    counts = sentences.lengths > 0
    if distinct:
        counts = tf.logical_and(counts, _is_first_of_its_kind(sentences))
    lengths = tf.cast(tf.maximum(sentences.lengths, 1), log_p.dtype)
    return ScoredCandidates(log_p, lengths, tf.stop_gradient(scores), counts)


def among_candidates(values: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Returns the values with those that do not count far below all others.

    Args:
        values: float [batch, candidates].
        counts: bool [batch, candidates].
    """
    return tf.where(counts, values, tf.constant(values.dtype.min / 4, values.dtype))


def candidate_weights(
    candidates: ScoredCandidates, alpha: float, normalize_length: bool
) -> tf.Tensor:
    """Returns weights that sum to 1 over those that count, all 0 where none does.

        q_u = p(u|x)^α / Σ_v p(v|x)^α

    Args:
        candidates: u.
        alpha: α.
        normalize_length: whether p(u|x) is replaced by its geometric mean over the words of u.

    Returns:
        [batch, candidates].
    """
    log_p = candidates.log_p / candidates.lengths if normalize_length else candidates.log_p
    weights = tf.nn.softmax(among_candidates(alpha * log_p, candidates.counts))
    return weights * tf.cast(candidates.counts, weights.dtype)


def _with_first(first: Sentences, others: Sentences) -> Sentences:
    """Returns the sentences of [batch] before those of [batch, candidates], padded alike."""
    wanted = tf.maximum(tf.shape(first.ids)[-1], tf.shape(others.ids)[-1])

    def padded(ids: tf.Tensor) -> tf.Tensor:
        return tf.pad(ids, [[0, 0], [0, 0], [0, wanted - tf.shape(ids)[-1]]])

    ids = tf.concat([padded(first.ids[:, tf.newaxis]), padded(others.ids)], axis=1)
    return Sentences(ids, tf.concat([first.lengths[:, tf.newaxis], others.lengths], axis=1))


def _is_first_of_its_kind(sentences: Sentences) -> tf.Tensor:
    """Returns whether no earlier sentence of the example has the same words, [batch, count]."""
    ids = sentences.ids * sentences.mask(sentences.ids.dtype)
    equal = tf.reduce_all(ids[:, :, tf.newaxis] == ids[:, tf.newaxis], axis=-1)
    lengths = sentences.lengths
    equal = tf.logical_and(equal, lengths[:, :, tf.newaxis] == lengths[:, tf.newaxis])
    place = tf.range(tf.shape(lengths)[1])
    earlier = place[:, tf.newaxis] > place
    return tf.logical_not(tf.reduce_any(tf.logical_and(equal, earlier), axis=-1))
