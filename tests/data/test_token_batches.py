"""Batch t depends on (seed, t) alone; every example comes once an epoch; no batch is too large."""

import numpy as np
import pytest

from tf_l2t.data import TokenBatches

LENGTHS = np.random.default_rng(0).integers(1, 40, (500, 2))


def unpadded(rows):
    """Returns the rows of each batch, after a check that only padding follows them."""
    sizes = (rows >= 0).sum(axis=1)
    assert (rows[np.arange(rows.shape[1]) >= sizes[:, None]] == -1).all()
    return [row[:size] for row, size in zip(rows, sizes, strict=True)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_tokens": 40},
        {"max_tokens": 300},
        {"max_tokens": 10**6},
        {"max_tokens": 300, "max_sentences": 9},
        {"max_sentences": 64},
        {"max_sentences": 1},
        {"max_sentences": 501},
    ],
)
def test_every_example_once_an_epoch_within_the_bounds(arguments):
    batches = TokenBatches(LENGTHS, seed=1, **arguments)
    epochs = []
    for epoch in range(3):
        rows = batches.rows(epoch * batches.batches_per_epoch, batches.batches_per_epoch)
        assert rows.dtype == np.int32
        assert rows.shape[1] == batches.max_rows
        epochs.append(unpadded(rows))
        np.testing.assert_array_equal(np.sort(np.concatenate(epochs[-1])), range(500))
        sizes = [len(batch) for batch in epochs[-1]]
        assert min(sizes) >= 1
        assert max(sizes) == batches.max_rows <= arguments.get("max_sentences", 500)
        if "max_tokens" in arguments:
            cells = [len(batch) * LENGTHS[batch].max() for batch in epochs[-1]]
            assert max(cells) <= arguments["max_tokens"]
        else:
            assert max(sizes) - min(sizes) <= 1
    assert not np.array_equal(np.concatenate(epochs[0]), np.concatenate(epochs[1]))


def test_no_example_more_would_have_room():
    source = TokenBatches(LENGTHS, 300)
    batches = unpadded(source.rows(0, source.batches_per_epoch))
    *full, last_but_one, last = sorted(batches, key=lambda b: -LENGTHS[b].max())
    assert all((len(batch) + 1) * LENGTHS[batch].max() > 300 for batch in full)
    # Those of the shortest examples share what is left.
    assert len(last) >= (len(last_but_one) + len(last)) // 2


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([4] * 7, [2, 2, 3]),
        ([4] * 8, [2, 3, 3]),
        ([9, 1], [1, 1]),
        ([5, 4, 1, 1, 1], [2, 3]),
        ([2], [1]),
    ],
)
def test_the_last_batch_is_not_a_rest(lengths, sizes):
    batches = TokenBatches([[length] for length in lengths], 12)
    rows = unpadded(batches.rows(0, batches.batches_per_epoch))
    assert sorted(map(len, rows)) == sizes


def test_lengths_of_a_batch_are_alike_and_partners_change():
    batches = TokenBatches(LENGTHS, 300, seed=3)
    count = batches.batches_per_epoch
    longest = LENGTHS.max(axis=1)
    for batch in unpadded(batches.rows(0, count)):
        assert np.ptp(longest[batch]) <= 10
    partners = [
        {frozenset(batch.tolist()) for batch in unpadded(batches.rows(start, count))}
        for start in (0, count)
    ]
    assert len(partners[0] & partners[1]) < count / 4


def test_batches_are_shuffled():
    batches = unpadded(TokenBatches(LENGTHS, 300).rows(0, 30))
    longest = [LENGTHS[batch].max() for batch in batches]
    assert abs(np.corrcoef(longest, range(30))[0, 1]) < 0.5


def test_replay_from_any_step_in_any_order():
    forward = TokenBatches(LENGTHS, 300, seed=2).rows(0, 200)
    batches = TokenBatches(LENGTHS, 300, seed=2)
    assert batches.batches_per_epoch < 100
    for start, length in [(150, 50), (0, 1), (20, 150), (199, 1), (3, 190), (0, 200)]:
        np.testing.assert_array_equal(batches.rows(start, length), forward[start : start + length])


def test_far_into_training():
    far = 10**12
    batches = TokenBatches(LENGTHS, 300)
    np.testing.assert_array_equal(batches.rows(far, 3)[1:], batches.rows(far + 1, 2))


def test_seed_decides():
    first = TokenBatches(LENGTHS, 300, seed=2).rows(0, 5)
    assert (first != TokenBatches(LENGTHS, 300, seed=3).rows(0, 5)).any()


def test_an_order_stays_what_it_was():
    batches = TokenBatches([3, 1, 4, 1, 5, 2], 6, seed=0)
    assert batches.rows(0, 4).tolist() == [[3, 1], [2, -1], [4, -1], [0, 5]]
    assert batches.rows(4, 4).tolist() == [[2, -1], [4, -1], [3, 1], [0, 5]]


def test_result_may_be_changed_freely():
    batches = TokenBatches(LENGTHS, 300)
    before = batches.rows(0, 2).copy()
    batches.rows(0, 2)[:] = 0
    np.testing.assert_array_equal(batches.rows(0, 2), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "max_tokens and max_sentences are None: give one"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"max_tokens": 9.5}, "max_tokens must be a whole number, got 9.5"),
        ({"max_sentences": 0}, "max_sentences must be at least 1, got 0"),
        ({"max_tokens": 9, "seed": -1}, "seed is -1"),
        (
            {"max_tokens": 8},
            "max_tokens is 8, but example 1 has a sentence of 9 words, and 1 of 2 examples .*enco",
        ),
        ({"max_tokens": 9, "lengths": []}, "lengths is float64"),
        ({"max_tokens": 9, "lengths": [0.5]}, "lengths is float64 of the shape"),
        ({"max_tokens": 9, "lengths": [2, 0]}, "lengths holds 0: every sentence"),
        ({"max_tokens": 9, "lengths": [[[2]]]}, r"shape \(1, 1, 1\)"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        TokenBatches(**({"lengths": [[3, 4], [5, 9]]} | arguments))


def test_refuses_rows():
    batches = TokenBatches([2, 3], 5)
    with pytest.raises(ValueError, match="start is -1"):
        batches.rows(-1, 2)
    with pytest.raises(ValueError, match="length is 0"):
        batches.rows(0, 0)
