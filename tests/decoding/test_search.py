"""Greedy and beam search against all sentences of a small vocabulary."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from table_student import LONGEST, begin, every_sentence, sentences_of, step, tables

from tf_l2t.data.vocabulary import EOS, PAD
from tf_l2t.decoding import beam_search, greedy, sample
from tf_l2t.types import Sentences

BATCH = 5
EVERYTHING = 40  # sentences, and more than the prefixes of any length


def score(log_p: float, length: int, alpha: float) -> float:
    return log_p / ((5 + length) / 6) ** alpha


def compiled(search, logits, max_length, **settings):
    run = tf.function(functools.partial(search, step, **settings))
    return run(*begin(logits), max_length)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("max_length", [1, 3, LONGEST])
def test_a_beam_of_everything_finds_the_best_in_order(alpha, max_length):
    logits = tables(BATCH)
    found = compiled(
        beam_search,
        logits,
        tf.constant(max_length),
        beam_size=EVERYTHING,
        length_penalty=alpha,
    )
    for row in range(BATCH):
        want = every_sentence(logits[row], max_length)
        assert len(want) <= EVERYTHING
        order = sorted(want, key=lambda s, want=want: -score(want[s], len(s), alpha))
        number = len(want)
        lengths = found.sentences.lengths[row]
        got = sentences_of(
            found.sentences.ids[row, :number, : tf.reduce_max(lengths)], lengths[:number]
        )
        assert got == order
        np.testing.assert_allclose(found.log_probs[row, :number], [want[s] for s in got], rtol=1e-5)
        np.testing.assert_allclose(
            found.scores[row, :number],
            [score(want[s], len(s), alpha) for s in got],
            rtol=1e-5,
        )
        assert (lengths[number:] == 0).numpy().all()
        assert (found.sentences.ids[row, number:] == 0).numpy().all()
        assert np.isneginf(found.scores[row, number:]).all()
        assert np.isneginf(found.log_probs[row, number:]).all()


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("beam_size", [2, 4])
def test_a_small_beam_finds_good_sentences(beam_size, alpha):
    logits = tables(30, seed=1)
    found = compiled(beam_search, logits, LONGEST, beam_size=beam_size, length_penalty=alpha)
    words = greedy(step, *begin(logits), LONGEST)
    best = 0
    for row, greedys in enumerate(sentences_of(*words)):
        every = every_sentence(logits[row], LONGEST)
        scores = {s: score(log_p, len(s), alpha) for s, log_p in every.items()}
        ids, lengths = found.sentences.ids[row], found.sentences.lengths[row]
        got = sentences_of(ids[:, : tf.reduce_max(lengths)], lengths)
        assert len(set(got)) == beam_size
        want = [scores[s] for s in got]
        np.testing.assert_allclose(found.scores[row], want, rtol=1e-5)
        assert want == sorted(want, reverse=True)
        best += want[0] == max(scores.values())
        if alpha == 0 and beam_size == 4:
            assert want[0] >= scores[greedys] - 1e-6
    assert best >= {2: 15, 4: 25}[beam_size]


def test_greedy_takes_the_likeliest_word_and_is_a_beam_of_one():
    logits = tables(30, seed=2)
    found = compiled(greedy, logits, tf.constant(LONGEST))
    beam = compiled(beam_search, logits, tf.constant(LONGEST), beam_size=1)
    np.testing.assert_array_equal(found.ids, beam.sentences.ids[:, 0])
    np.testing.assert_array_equal(found.lengths, beam.sentences.lengths[:, 0])
    allowed = [1, *range(EOS, logits.shape[-1])]
    for row, sentence in enumerate(sentences_of(*found)):
        before = (2, 2, *sentence)
        for r, word in enumerate(sentence):
            values = logits[row, r, before[r], before[r + 1]]
            last = r == LONGEST - 1
            assert word == (EOS if last else max(allowed, key=lambda w, values=values: values[w]))
    assert {len(s) for s in sentences_of(*found)} == {1, 2, 3, 4}


@pytest.mark.parametrize("search", [greedy, functools.partial(beam_search, length_penalty=0.6)])
def test_a_sentence_does_not_see_its_batch(search):
    logits = tables(6, seed=3)
    limits = [4, 1, 3, 4, 2, 4]
    together = tf.nest.flatten(compiled(search, logits, tf.constant(limits)))
    for row, limit in enumerate(limits):
        alone = tf.nest.flatten(search(step, *begin(logits[row : row + 1]), limit))
        for one, batched in zip(alone, together, strict=True):
            one, batched = one[0].numpy(), batched[row].numpy()
            if one.shape != batched.shape:
                assert not batched[..., one.shape[-1] :].any()
                batched = batched[..., : one.shape[-1]]
            np.testing.assert_allclose(one, batched, rtol=1e-6)


def test_it_stops_when_all_have_ended():
    logits = tables(BATCH)
    logits[..., EOS] = 50
    calls = []

    def counted(*arguments):
        calls.append(1)
        return step(*arguments)

    for search in (greedy, functools.partial(beam_search, beam_size=1)):
        calls.clear()
        search(counted, *begin(logits), LONGEST)
        assert len(calls) == 1


@pytest.mark.parametrize(
    "search", [greedy, beam_search, functools.partial(sample, seed=tf.constant([0, 1]))]
)
def test_a_wrong_length_is_refused(search):
    with pytest.raises(ValueError, match="max_length must be at least 1, got 0"):
        search(step, *begin(tables(1)), max_length=0)
    of_any_batch = tf.function(lambda begun: search(step, *begun, max_length=0))
    unknown = tf.nest.map_structure(
        lambda each: tf.TensorSpec([None, *each.shape[1:]], each.dtype), begin(tables(1))
    )
    with pytest.raises(ValueError, match="max_length must be at least 1, got 0"):
        of_any_batch.get_concrete_function(unknown)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam_size": 0}, "beam_size must be at least 1, got 0"),
        ({"length_penalty": -0.5}, r"length_penalty must be in \[0, inf\), got -0.5"),
    ],
)
def test_wrong_settings_of_a_beam_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        beam_search(step, *begin(tables(1)), 3, **settings)


@pytest.mark.parametrize(
    "search",
    [greedy, functools.partial(beam_search, beam_size=3), functools.partial(sample, seed=[1, 2])],
    ids=["greedy", "beam", "sample"],
)
def test_a_student_that_has_diverged_comes_to_an_end(search):
    logits = tables(BATCH)
    found = compiled(search, tf.fill(tf.shape(logits), np.float32("nan")), tf.constant(4))
    ids, lengths = found if isinstance(found, Sentences) else found.sentences
    assert 1 <= ids.shape[-1] <= 4
    assert 0 <= ids.numpy().min() <= ids.numpy().max() < logits.shape[-1]
    assert lengths.numpy().max() <= 4
    # A sentence has its words first, and then its padding.
    for row, length in zip(
        ids.numpy().reshape(-1, ids.shape[-1]), lengths.numpy().ravel(), strict=True
    ):
        assert (row[:length] != PAD).all()
        assert (row[length:] == PAD).all()


def test_an_infinite_logit_is_a_word_for_certain() -> None:
    logits = tables(BATCH)
    logits[:, 1, :, :, 4] = np.inf
    expected = sentences_of(*compiled(greedy, logits, tf.constant(LONGEST)))
    found = compiled(beam_search, logits, tf.constant(LONGEST), beam_size=1, length_penalty=0.0)
    ids, lengths = found.sentences
    assert sentences_of(ids[:, 0], lengths[:, 0]) == expected
    assert any(len(sentence) > 1 and sentence[1] == 4 for sentence in expected)
