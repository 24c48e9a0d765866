"""A split is disjoint, complete and repeatable."""

import numpy as np
import pytest

from tf_l2t.data import arrays, split


@pytest.fixture
def source():
    images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    return arrays(images, np.arange(20) % 4, images[:3] + 100, [0, 1, 2])


def ids(examples):
    return examples.images.ravel().tolist()


@pytest.mark.parametrize(("dev_size", "count"), [(1, 1), (7, 7), (19, 19), (0.25, 5), (7.0, 7)])
def test_disjoint_and_complete(source, dev_size, count):
    splits = split(source, dev_size, seed=3)
    assert len(splits.dev.labels) == len(splits.dev.images) == count
    assert sorted(ids(splits.dev) + ids(splits.train)) == list(range(20))
    for examples in (splits.train, splits.dev):
        np.testing.assert_array_equal(examples.labels, examples.images.ravel() % 4)
    assert ids(splits.test) == [100, 101, 102]


def test_seed_decides(source):
    first = ids(split(source, 10, seed=5).dev)
    assert ids(split(source, 10, seed=5).dev) == first
    assert ids(split(source, 10, seed=6).dev) != first
    assert first != sorted(first)


def test_a_split_stays_what_it_was(source):
    assert ids(split(source, 4, seed=0).dev) == [1, 13, 10, 18]


@pytest.mark.parametrize("dev_size", [0, -1, 20, 21, 2.5, 0.01, 0.99, -0.5, float("nan")])
def test_refuses_sizes(source, dev_size):
    with pytest.raises(ValueError, match=rf"dev_size is {dev_size} of 20 .*from 1 to 19"):
        split(source, dev_size, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_refuses_seeds(source, seed):
    with pytest.raises(ValueError, match=f"seed is {seed}: give a whole number"):
        split(source, 5, seed)


def test_what_is_reserved_takes_no_part(source):
    """It is the dev data of another split: a teacher may learn without seeing that."""
    theirs = split(source, 6, seed=2)
    ours = split(source, 5, seed=2, reserved=6)
    assert sorted(ids(ours.dev) + ids(ours.train)) == sorted(ids(theirs.train))
    assert len(ids(ours.dev)) == 5
    with pytest.raises(ValueError, match="dev_size is 14 of 14 .*from 1 to 13"):
        split(source, 14, seed=2, reserved=6)
    for reserved in (19, 20, 30):
        with pytest.raises(ValueError, match=f"reserved is {reserved} of 20"):
            split(source, 1, seed=2, reserved=reserved)
    with pytest.raises(ValueError, match="reserved must be at least 0"):
        split(source, 1, reserved=-1)
