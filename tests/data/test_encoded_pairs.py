"""Batches of an encoded corpus are its sentences, padded, whatever the shape of the batch."""

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import EncodedPairs, Pairs, TokenBatches, count_words, encode_pairs
from tf_l2t.data import encoded_pairs as module
from tf_l2t.data.vocabulary import EOS, PAD

TEXT = Pairs(
    ("a b c", "b", "c c c c c", "a a", "b a b a"),
    ("x y", "x y z z", "y", "z x y z x y", "x x"),
)
SOURCE, TARGET = count_words(TEXT.source), count_words(TEXT.target)


@pytest.fixture
def corpus():
    return encode_pairs(TEXT, SOURCE, TARGET)[0]


def expected(encoder, sentences):
    """Returns ids and lengths that were put together one by one."""
    rows = [encoder.encode(tf.constant([s])).to_list()[0] for s in sentences]
    longest = max(map(len, rows))
    ids = [row + [PAD] * (longest - len(row)) for row in rows]
    return ids, [len(row) for row in rows]


@pytest.mark.parametrize("rows", [[0], [4, 1, 2], [3, -1, 0, -1], [-1, 2, 2], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_gathers_sentences(corpus, rows, wrap):
    source, target = wrap(lambda rows: corpus.gather(rows))(tf.constant(rows))
    picked = [row for row in rows if row >= 0]
    for sentences, encoder, text in ((source, SOURCE, TEXT.source), (target, TARGET, TEXT.target)):
        ids, lengths = expected(encoder, [text[row] for row in picked])
        assert sentences.ids.dtype == sentences.lengths.dtype == tf.int32
        assert sentences.ids.numpy().tolist() == ids
        assert sentences.lengths.numpy().tolist() == lengths


def test_a_batch_of_none(corpus):
    source, target = corpus.gather(tf.constant([-1, -1]))
    assert source.ids.shape == target.ids.shape == (0, 0)
    assert source.lengths.shape == (0,)


def test_in_a_loop_over_batches_of_many_shapes(corpus):
    batches = TokenBatches(corpus.lengths, max_tokens=10, seed=1)
    rows = batches.rows(0, batches.batches_per_epoch)
    assert len({(row >= 0).sum() for row in rows}) > 1

    @tf.function
    def words(rows):
        def add(step, total, ends):
            source, target = corpus.gather(rows[step])
            total += tf.reduce_sum(source.lengths) + tf.reduce_sum(target.lengths)
            for sentences in (source, target):
                ends += tf.math.count_nonzero(sentences.ids == EOS, dtype=tf.int32)
            return step + 1, total, ends

        return tf.while_loop(lambda step, *_: step < tf.shape(rows)[0], add, (0, 0, 0))[1:]

    total, ends = words(tf.constant(rows))
    assert total == corpus.lengths.sum()
    assert ends == 2 * corpus.num_pairs


def test_is_an_argument_of_a_function(corpus):
    @tf.function
    def first(corpus, row):
        return corpus.gather(row[None])[0].ids

    assert first(corpus, tf.constant(1)).numpy().tolist() == [expected(SOURCE, ["b"])[0][0]]


def test_lengths_and_number(corpus):
    assert corpus.num_pairs == 5
    assert corpus.lengths.tolist() == [[4, 3], [2, 5], [6, 2], [3, 7], [5, 3]]


def test_encodes_in_chunks(corpus, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 2)
    again, rows = encode_pairs(TEXT, SOURCE, TARGET)
    assert rows.tolist() == [0, 1, 2, 3, 4]
    for side, other in zip(corpus, again, strict=True):
        assert side.to_list() == other.to_list()


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        ({"max_length": 7}, [0, 1, 2, 3, 4]),
        ({"max_length": 5}, [0, 1, 4]),
        ({"max_length_ratio": 2}, [0, 4]),
        ({"max_length_ratio": 2.5}, [0, 1, 3, 4]),
        ({"max_length": 4, "max_length_ratio": 1.5}, [0]),
    ],
)
def test_leaves_out_what_is_too_long(corpus, bounds, left):
    kept, rows = encode_pairs(TEXT, SOURCE, TARGET, **bounds)
    assert rows.tolist() == left
    assert kept.num_pairs == len(left)
    np.testing.assert_array_equal(kept.lengths, corpus.lengths[left])
    np.testing.assert_array_equal(
        kept.gather(tf.range(len(left)))[1].ids, corpus.gather(tf.constant(left))[1].ids
    )


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"max_length": 1}, "max_length must be at least 2, got 1"),
        ({"max_length_ratio": 0.9}, "max_length_ratio is 0.9: give a number from 1"),
        ({"max_length": 3}, "max_length is 3 and .*leaves none of 5 pairs; the shortest has 4"),
    ],
)
def test_refuses(bounds, message):
    with pytest.raises(ValueError, match=message):
        encode_pairs(TEXT, SOURCE, TARGET, **bounds)


def test_is_a_nest(corpus):
    assert isinstance(tf.nest.map_structure(tf.identity, corpus), EncodedPairs)
