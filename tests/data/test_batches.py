"""Batch t depends on (seed, t) alone; every example comes once an epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import BatchIndices, Examples, gather


@pytest.mark.parametrize(("num_examples", "batch_size"), [(12, 4), (13, 4), (5, 5), (7, 1), (9, 8)])
def test_every_example_once_an_epoch(num_examples, batch_size):
    epochs = 4
    steps = -(-epochs * num_examples // batch_size)
    stream = BatchIndices(num_examples, batch_size, seed=1).rows(0, steps).ravel()
    orders = stream[: epochs * num_examples].reshape(epochs, num_examples)
    np.testing.assert_array_equal(np.sort(orders, axis=1), [range(num_examples)] * epochs)
    if num_examples > 5:
        assert len({tuple(order) for order in orders.tolist()}) == epochs


def test_replay_from_any_step_in_any_order():
    forward = BatchIndices(50, 7, seed=2).rows(0, 60)
    assert forward.shape == (60, 7)
    assert forward.dtype == np.int32
    indices = BatchIndices(50, 7, seed=2)
    for start, length in [(45, 15), (0, 1), (20, 25), (59, 1), (3, 57), (0, 60)]:
        np.testing.assert_array_equal(indices.rows(start, length), forward[start : start + length])


def test_far_into_training():
    far = 10**12
    indices = BatchIndices(1000, 64, seed=0)
    np.testing.assert_array_equal(indices.rows(far, 3)[1:], indices.rows(far + 1, 2))


def test_seed_decides():
    assert (BatchIndices(50, 7, 2).rows(0, 5) != BatchIndices(50, 7, 3).rows(0, 5)).any()
    # A seed above 32 bits is not cut down to a smaller one.
    assert (BatchIndices(50, 7, 2).rows(0, 5) != BatchIndices(50, 7, 2 + 2**32).rows(0, 5)).any()


def test_an_order_stays_what_it_was():
    assert BatchIndices(6, 4, seed=0).rows(0, 3).tolist() == [
        [4, 3, 5, 2],
        [1, 0, 4, 0],
        [1, 5, 2, 3],
    ]


def test_result_may_be_changed_freely():
    indices = BatchIndices(6, 3, seed=0)
    before = indices.rows(0, 2).copy()
    indices.rows(0, 2)[:] = 0
    np.testing.assert_array_equal(indices.rows(0, 2), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0), "num_examples is 0"),
        ((10, 0, 0), "batch_size is 0 for 10 training examples: give a number from 1 to 10"),
        ((10, 11, 0), "batch_size is 11 for 10 training examples"),
        ((10, 2, -1), "seed is -1"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchIndices(*arguments)


def test_refuses_rows():
    indices = BatchIndices(10, 2, 0)
    with pytest.raises(ValueError, match="start is -1"):
        indices.rows(-1, 2)
    with pytest.raises(ValueError, match="length is 0"):
        indices.rows(0, 0)


@pytest.fixture
def examples():
    images = np.arange(24, dtype=np.uint8).reshape(4, 1, 2, 3) * 10
    return Examples(tf.constant(images), tf.constant([3, 2, 1, 0], tf.int32))


def test_gather_scales_bytes(examples):
    batch = tf.function(gather)(examples, tf.constant([2, 0, 2]))
    assert (batch.inputs.dtype, batch.targets.dtype) == (tf.float32, tf.int32)
    expected = examples.images.numpy()[[2, 0, 2]] / np.float32(255)
    np.testing.assert_allclose(batch.inputs, expected, rtol=2e-7)
    np.testing.assert_array_equal(batch.targets, [1, 3, 1])


def test_gather_takes_floats_as_they_are(examples):
    images = tf.cast(examples.images, tf.float64)
    batch = gather(Examples(images, examples.labels), tf.constant([1]))
    assert batch.inputs.dtype == tf.float32
    np.testing.assert_array_equal(batch.inputs, images[1:2])


def test_gather_normalises_channels(examples):
    plain = gather(examples, tf.range(4)).inputs.numpy()
    mean, std = plain.mean((0, 1, 2)), plain.std((0, 1, 2))
    inputs = gather(examples, tf.range(4), mean.tolist(), std.tolist()).inputs.numpy()
    np.testing.assert_allclose(inputs.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(inputs.std((0, 1, 2)), 1, rtol=1e-5)


def test_gather_follows_floatx(examples):
    keras.config.set_floatx("float64")
    try:
        inputs = gather(examples, tf.constant([1])).inputs
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_array_equal(inputs, examples.images.numpy()[1:2] / 255)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mean": [0.5]}, r"mean is \[0.5\] for images of 3 channels: give 3 numbers"),
        ({"std": [1.0, 1.0]}, r"std is \[1.0, 1.0\] for images of 3 channels"),
        ({"std": [1, 0, 1]}, r"std is \[1.0, 0.0, 1.0\]: give numbers above 0"),
    ],
)
def test_gather_refuses(examples, statistics, message):
    with pytest.raises(ValueError, match=message):
        gather(examples, tf.constant([0]), **statistics)
