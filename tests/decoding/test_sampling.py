"""Samples against the exact probabilities of all sentences of a small vocabulary."""

import collections

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from table_student import LONGEST, WORDS, begin, every_sentence, sentences_of, step, tables

from tf_l2t.data.vocabulary import BOS, EOS, PAD
from tf_l2t.decoding import greedy, sample

NUMBER = 3000


def reshaped(logits: np.ndarray, temperature, top_k, top_p, max_length: int) -> np.ndarray:
    """Returns a table whose every distribution is the one that is to be drawn from."""
    out = np.full(logits.shape, -np.inf)
    for at in np.ndindex(logits.shape[:-1]):
        words = [w for w in range(WORDS) if w not in (PAD, BOS)]
        if at[1] + 1 == max_length:
            words = [EOS]
        p = np.exp(logits[at][words] / temperature)
        order = np.argsort(-p)[:top_k]
        p = p[order] / p[order].sum()
        kept = order[np.cumsum(p) - p < (1.0 if top_p is None else top_p)]
        out[at][np.array(words)[kept]] = logits[at][np.array(words)[kept]] / temperature
    return out


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, None, None), (0.5, None, None), (2.0, 2, None), (1.5, None, 0.7), (1.2, 3, 0.8)],
)
def test_frequencies(temperature, top_k, top_p):
    logits, max_length = tables(2, seed=4, spread=0.8), 3
    ids, lengths = tf.function(sample)(
        step,
        *begin(logits),
        tf.constant(max_length),
        seed=tf.constant([1, 2]),
        num_samples=NUMBER,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
    )
    table = reshaped(logits, temperature, top_k, top_p, max_length)
    for row in range(2):
        drawn = np.concatenate([lengths[row][:, np.newaxis], ids[row]], -1)
        drawn, times = np.unique(drawn, axis=0, return_counts=True)
        sentences = sentences_of(drawn[:, 1:], drawn[:, 0])
        counts = collections.Counter(dict(zip(sentences, times, strict=True)))
        want = every_sentence(table[row], max_length)
        want = {s: np.exp(log_p) for s, log_p in want.items() if np.isfinite(log_p)}
        assert sum(want.values()) == pytest.approx(1.0)
        assert set(counts) <= set(want)
        rare = [s for s in want if want[s] * NUMBER < 5]
        common = [s for s in want if s not in rare]
        observed = [counts[s] for s in common] + [sum(counts[s] for s in rare)]
        expected = [want[s] * NUMBER for s in common] + [sum(want[s] for s in rare) * NUMBER]
        if not rare:
            observed, expected = observed[:-1], expected[:-1]
        assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3


def test_the_seed_decides_and_samples_are_drawn_apart():
    memory, state = begin(tables(4, seed=5, spread=0.3))

    def draw(seed):
        drawn = sample(step, memory, state, LONGEST, tf.constant(seed), num_samples=8)
        return drawn.ids.numpy()

    first = draw([3, 0])
    np.testing.assert_array_equal(first, draw([3, 0]))
    for other in ([3, 1], [4, 0]):
        assert not np.array_equal(first, draw(other))
    assert all(len({tuple(words) for words in row}) > 1 for row in first)


def test_a_sentence_may_have_its_own_length():
    limits = [1, 4, 2]
    logits = tables(3, seed=6)
    logits[..., EOS] = -50
    drawn = sample(step, *begin(logits), tf.constant(limits), tf.constant([0, 0]), num_samples=3)
    np.testing.assert_array_equal(drawn.lengths, np.repeat(limits, 3).reshape(3, 3))


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-3}])
def test_the_likeliest_word_alone_is_greedy(settings):
    memory, state = begin(tables(6, seed=7))
    drawn = sample(step, memory, state, LONGEST, tf.constant([0, 0]), **settings)
    words = greedy(step, memory, state, LONGEST)
    np.testing.assert_array_equal(drawn.ids[:, 0], words.ids)


@pytest.mark.parametrize("settings", [{"top_k": WORDS + 3}, {"top_p": 1.0}])
def test_all_words_are_what_is_drawn_from_without_a_bound(settings):
    memory, state = begin(tables(6, seed=7))
    draws = [
        sample(step, memory, state, LONGEST, tf.constant([0, 0]), num_samples=5, **bound)
        for bound in ({}, settings)
    ]
    np.testing.assert_array_equal(draws[0].ids, draws[1].ids)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"temperature": 0.0}, r"temperature must be in \(0, inf\), got 0.0; .*greedy"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 1.5}, r"top_p must be in \(0, 1\], got 1.5"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        sample(step, *begin(tables(1)), 3, tf.constant([0, 0]), **settings)


@pytest.mark.parametrize("settings", [{}, {"num_samples": 3, "top_k": 2, "top_p": 0.5}])
def test_no_sentences_have_no_samples(settings) -> None:
    memory, state = tf.nest.map_structure(lambda each: each[:0], begin(tables(2)))
    found = sample(step, memory, state, LONGEST, tf.constant([0, 1]), **settings)
    assert found.ids.shape == (0, settings.get("num_samples", 1), 1)
    assert found.lengths.shape == found.ids.shape[:2]
    assert greedy(step, memory, state, LONGEST).ids.shape[0] == 0
