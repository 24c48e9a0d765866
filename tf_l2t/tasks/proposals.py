"""Candidates: the translations that a student proposes, in the batch before a loss reads them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tf_l2t.data.vocabulary import EOS, PAD
from tf_l2t.measures.base import Measure
from tf_l2t.measures.bleu import sentence_bleu
from tf_l2t.types import Candidates, Sentences, TranslationOutputs, TranslationTargets


def judged(sentences: Sentences, references: Sentences) -> Candidates:
    """Returns candidates with their sentence BLEU; a row that is no sentence has 0.

    Args:
        sentences: [batch, candidates, length].
        references: [batch, length].
    """
    return Candidates(sentences, tf.cast(sentence_bleu(sentences, references), tf.float32))


def check_measure(measure: Measure, size: int) -> None:
    """Raises ValueError if a measure cannot be taken of translations.

    Args:
        measure: tried on two translations of one word.
        size: words of the target vocabulary.
    """
    sentences = Sentences(tf.fill([2, 1], EOS), tf.ones([2], tf.int32))
    outputs, targets = (
        TranslationOutputs(tf.zeros([2, 1, size])),
        TranslationTargets(sentences, tf.constant(1.0)),
    )
    if count := measure.num_candidates:
        proposed = Sentences(tf.fill([2, count, 1], EOS), tf.ones([2, count], tf.int32))
        outputs = outputs._replace(candidate_logits=tf.zeros([2, count, 1, size]))
        targets = targets._replace(candidates=judged(proposed, sentences))
    try:
        shape = measure(outputs, targets).shape
    except (TypeError, ValueError, AttributeError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(_not_of_translations(measure)) from error
    if shape != [2]:
        raise ValueError(_not_of_translations(measure))


def _not_of_translations(measure: Measure) -> str:
    return (
        f"Translation: measure must be one of translations, got {type(measure).__name__}(); use "
        "ExpectedBleu() or TranslationLogLikelihood()."
    )


def propose(
    rows: tf.Tensor,
    propose_for: Callable[[tf.Tensor, tf.Tensor], Candidates],
    count: int,
    longest: int,
) -> Candidates:
    """Returns the candidates of every batch of a segment, for use within a `tf.function`.

    Args:
        rows: of each batch, int32 [steps, rows], -1 behind those of a smaller batch.
        propose_for: (rows without -1, index of the step) -> their candidates.
        count: candidates of an example.
        longest: the most words that a candidate may have.

    Returns:
        Candidates of [steps, rows], with no sentences where there is no row.
    """
    steps, most = tf.unstack(tf.shape(rows))

    def of_step(index: tf.Tensor) -> Candidates:
        here = tf.boolean_mask(rows[index], rows[index] >= 0)
        (ids, lengths), scores = propose_for(here, index)
        missing = most - tf.shape(here)[0]
        padding = [[0, missing], [0, 0], [0, longest - tf.shape(ids)[-1]]]
        ids = tf.pad(ids, padding, constant_values=PAD)
        ids.set_shape([None, count, longest])
        return Candidates(Sentences(ids, tf.pad(lengths, padding[:2])), tf.pad(scores, padding[:2]))

    return tf.map_fn(
        of_step,
        tf.range(steps),
        fn_output_signature=Candidates(
            Sentences(
                tf.TensorSpec([None, count, longest], tf.int32),
                tf.TensorSpec([None, count], tf.int32),
            ),
            tf.TensorSpec([None, count], tf.float32),
        ),
        parallel_iterations=1,
    )


def of_batch(
    proposed: Candidates, index: tf.Tensor, start: tf.Tensor, stop: tf.Tensor
) -> Candidates:
    """Returns the candidates of the rows from start to stop of a batch, no longer than they are."""
    (ids, lengths), scores = tf.nest.map_structure(
        lambda tensor: tensor[index][start:stop], proposed
    )
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    return Candidates(Sentences(ids[..., :longest], lengths), scores)
