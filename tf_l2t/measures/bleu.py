"""BLEU of single sentences, computed where the student is: on words' indices, in the graph."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_l2t.checks import one_of, whole_number
from tf_l2t.data.vocabulary import EOS
from tf_l2t.types import Sentences

SMOOTHINGS = ("exp", "add-k", "floor", "none")
"""What may stand for a precision of 0, as sacreBLEU calls it."""
_DEFAULT_VALUES = {"floor": 0.1, "add-k": 1.0}


def sentence_bleu(
    hypotheses: Sentences,
    references: Sentences,
    *,
    max_order: int = 4,
    smoothing: str = "exp",
    smoothing_value: float | None = None,
    effective_order: bool = True,
) -> tf.Tensor:
    """Returns the BLEU of every hypothesis by itself. It has no derivative.

        BLEU = min(1, exp(1 - |y| / |h|)) Π_n P_n^{1/N},    P_n = clipped matches / n-grams of h

    It is sacreBLEU's `sentence_bleu` of the words, tokenised as they are, over 100; the end of a
    sentence is no word, and a sentence without words has 0. Words are compared by their index,
    so that one unknown word matches any other, and pieces of words count as words.

    Args:
        hypotheses: h, ids int32 [..., length].
        references: y, ids int32 [..., length]; of fewer dimensions, such as [batch, length] for
            [batch, candidates, length], one is that of all the hypotheses of its example.
        max_order: N, the longest n-grams that count.
        smoothing: what stands for P_n = 0 as long as there is any match at all: "exp" 1/2, 1/4, …
            of one match, "floor" `smoothing_value` matches, "none" nothing, so that BLEU is 0;
            "add-k" adds `smoothing_value` to matches and n-grams of every n > 1.
        smoothing_value: None for sacreBLEU's, 0.1 for "floor" and 1 for "add-k".
        effective_order: whether N is cut to the words of h, where those are fewer; without it
            such a sentence has BLEU 0.

    Returns:
        [...] of the hypotheses, in [0, 1], in Keras' floatx.

    Raises:
        ValueError: for an argument that makes no sense.

    Example:
        >>> sentences = Sentences(tf.constant([[5, 6, 7, 8, EOS]]), tf.constant([5]))
        >>> sentence_bleu(sentences, sentences)  # [1.0]

    Papineni et al. (ACL 2002), section 2.3; the smoothings are methods 1 (floor), 2 (add-k) and 3
    (exp) of Chen and Cherry (WMT 2014), as Post (WMT 2018) has them in sacreBLEU.
    """
    return _bleu(
        "sentence_bleu",
        hypotheses,
        references,
        of_prefixes=False,
        max_order=max_order,
        smoothing=smoothing,
        smoothing_value=smoothing_value,
        effective_order=effective_order,
    )


def prefix_bleu(
    hypotheses: Sentences,
    references: Sentences,
    *,
    max_order: int = 4,
    smoothing: str = "exp",
    smoothing_value: float | None = None,
    effective_order: bool = True,
) -> tf.Tensor:
    """Returns the sentence BLEU of every prefix of every hypothesis. It has no derivative.

        at position r: BLEU of the words h_0, …, h_r

    From the end of a sentence on, padding included, it is that of the whole sentence. It costs
    about what `sentence_bleu` costs, since the k-th occurrence of an n-gram matches or not whatever
    follows it.

    Args:
        hypotheses, references, max_order, smoothing, smoothing_value, effective_order: those of
            `sentence_bleu`.

    Returns:
        [..., length] of the hypotheses, in [0, 1], in Keras' floatx.

    Raises:
        ValueError: for an argument that makes no sense.

    Example:
        >>> reference = Sentences(tf.constant([[5, 6, EOS]]), tf.constant([3]))
        >>> prefix_bleu(reference, reference)  # [[exp(-1), 1.0, 1.0]]

    Its increments are the rewards of Bahdanau et al. (ICLR 2017), section 3.
    """
    return _bleu(
        "prefix_bleu",
        hypotheses,
        references,
        of_prefixes=True,
        max_order=max_order,
        smoothing=smoothing,
        smoothing_value=smoothing_value,
        effective_order=effective_order,
    )


def _bleu(
    owner: str,
    hypotheses: Sentences,
    references: Sentences,
    *,
    of_prefixes: bool,
    max_order: int,
    smoothing: str,
    smoothing_value: float | None,
    effective_order: bool,
) -> tf.Tensor:
    """Returns the BLEU of every hypothesis, [...], or of all its prefixes, [..., length]."""
    whole_number(owner, "max_order", max_order, 1)
    one_of(owner, "smoothing", smoothing, SMOOTHINGS)
    missing = hypotheses.ids.shape.rank - references.ids.shape.rank
    if missing < 0:
        raise ValueError(
            f"{owner}: references must not have more dimensions than hypotheses, got "
            f"{references.ids.shape} for {hypotheses.ids.shape}; give one reference an example."
        )
    for _ in range(missing):
        references = Sentences(
            references.ids[..., tf.newaxis, :], references.lengths[..., tf.newaxis]
        )
    words, expected = _words(hypotheses), _words(references)
    matches = _matches(
        tf.where(words, hypotheses.ids, -1), tf.where(expected, references.ids, -2), max_order
    )
    dtype = tf.as_dtype(keras.config.floatx())
    total = tf.cumsum if of_prefixes else tf.reduce_sum
    matches = total(tf.cast(matches, dtype), axis=-2)
    length = total(tf.cast(words, dtype), axis=-1)
    expected_length = tf.reduce_sum(tf.cast(expected, dtype), axis=-1, keepdims=of_prefixes)
    totals = tf.nn.relu(length[..., tf.newaxis] - tf.range(max_order, dtype=dtype))
    log_precision, counted = _log_precisions(matches, totals, smoothing, smoothing_value)
    if effective_order:
        order = tf.reduce_sum(tf.cast(counted, dtype), axis=-1)
        log_precision = tf.where(counted, log_precision, tf.zeros_like(log_precision))
    else:
        order = tf.constant(max_order, dtype)
    log_bleu = tf.math.divide_no_nan(tf.reduce_sum(log_precision, axis=-1), order)
    log_bleu += tf.minimum(1 - tf.math.divide_no_nan(expected_length, length), 0)
    any_match = tf.reduce_any(matches > 0, axis=-1)
    return tf.where(any_match, tf.exp(log_bleu), tf.zeros_like(log_bleu))


def _words(sentences: Sentences) -> tf.Tensor:
    """Returns where there is a word and not the sentence's end, bool [..., length]."""
    return tf.logical_and(sentences.mask(tf.bool), sentences.ids != EOS)


def _matches(hypotheses: tf.Tensor, references: tf.Tensor, max_order: int) -> tf.Tensor:
    """Returns where an n-gram ends that the reference has, bool [..., length, max_order].

    The k-th occurrence of an n-gram in the hypothesis counts if the reference has k of it.

    Args:
        hypotheses: ids, [..., length], negative where there is no word.
        references: the same; never equal to a hypothesis where there is no word.
        max_order: the largest n.
    """
    position = tf.range(tf.shape(hypotheses)[-1])
    among = tf.logical_and(
        hypotheses[..., :, tf.newaxis] == hypotheses[..., tf.newaxis, :],
        position[:, tf.newaxis] >= position,
    )
    equal = hypotheses[..., :, tf.newaxis] == references[..., tf.newaxis, :]
    same, found = among, equal
    matches = []
    for order in range(max_order):
        if order:
            same = tf.logical_and(among, _next(same))
            found = tf.logical_and(equal, _next(found))
        occurrence = tf.reduce_sum(tf.cast(same, tf.int32), axis=-1)
        available = tf.reduce_sum(tf.cast(found, tf.int32), axis=-1)
        matched = tf.logical_and(occurrence <= available, available > 0)
        matches.append(_at_last_word(matched, order))
    return tf.stack(matches, axis=-1)


def _at_last_word(matched: tf.Tensor, order: int) -> tf.Tensor:
    """Moves what is true of n-grams, n = order + 1, from their first word to their last."""
    # No n-gram begins so late that it is moved beyond the end.
    margin = [[0, 0]] * (matched.shape.rank - 1) + [[order, 0]]
    return tf.pad(matched, margin)[..., : tf.shape(matched)[-1]]


def _next(pairs: tf.Tensor) -> tf.Tensor:
    """Returns [..., i + 1, j + 1] at [..., i, j], False behind the end."""
    margin = [[0, 0]] * (pairs.shape.rank - 2) + [[0, 1], [0, 1]]
    return tf.pad(pairs, margin)[..., 1:, 1:]


def _log_precisions(
    matches: tf.Tensor, totals: tf.Tensor, smoothing: str, value: float | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns log P_n, and whether there are n-grams at all, each [..., max_order]."""
    dtype = matches.dtype
    value = _DEFAULT_VALUES.get(smoothing, 0.0) if value is None else value
    if smoothing == "add-k":
        added = tf.constant([0.0] + [value] * (matches.shape[-1] - 1), dtype)
        matches, totals = matches + added, totals + added
    counted, zero = totals > 0, matches == 0
    if smoothing == "exp":
        halvings = tf.cumsum(tf.cast(zero, dtype), axis=-1)
        matches = tf.where(zero, tf.exp(-halvings * tf.math.log(tf.constant(2.0, dtype))), matches)
    elif smoothing == "floor":
        matches = tf.where(zero, tf.constant(value, dtype), matches)
    possible = tf.logical_and(counted, matches > 0)
    ratio = tf.where(possible, matches, tf.ones_like(matches)) / tf.where(
        possible, totals, tf.ones_like(totals)
    )
    nothing = tf.constant(-float("inf"), dtype)
    return tf.where(possible, tf.math.log(ratio), nothing), counted
