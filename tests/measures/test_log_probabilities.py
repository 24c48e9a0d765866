import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.measures.log_probabilities import (
    FLOOR,
    log_margin,
    log_probabilities,
    log_probability_of,
    of_targets,
)

LOG_2 = np.log(2)
DTYPES = [tf.bfloat16, tf.float16, tf.float32, tf.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([0.0, 0.0], [-LOG_2, -LOG_2]),
        ([0.0, -np.inf], [0.0, FLOOR]),
        ([0.0, np.inf], [FLOOR, 0.0]),
        ([np.inf, np.inf], [-LOG_2, -LOG_2]),
        ([-np.inf, -np.inf], [-LOG_2, -LOG_2]),
        ([0.0, -3e4], [0.0, FLOOR]),
    ],
)
def test_log_probabilities(logits, expected, dtype):
    got = log_probabilities(tf.constant([logits], dtype))
    assert got.dtype == dtype
    rtol = {"bfloat16": 1e-2, "float16": 1e-3, "float32": 1e-6, "float64": 1e-14}[dtype.name]
    np.testing.assert_allclose(tf.cast(got, tf.float64)[0], expected, rtol=rtol)
    for target, log_p in enumerate(expected):
        alone = log_probability_of(tf.constant([logits], dtype), tf.constant([target]))
        assert alone.dtype == dtype
        np.testing.assert_allclose(tf.cast(alone, tf.float64), [log_p], rtol=rtol)


def test_of_the_target_alone_it_has_the_same_derivatives() -> None:
    logits = tf.random.stateless_normal([3, 4, 5], (0, 0), dtype=tf.float64)
    targets = tf.constant([[0, 1, 2, 3], [4, 4, 0, 1], [2, 2, 2, 2]])

    def first_and_second(log_p) -> list[np.ndarray]:
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                value = tf.sin(log_p(logits))
            first = inner.gradient(value, logits)
            weighed = tf.reduce_sum(first * tf.cos(logits))
        return [value.numpy(), first.numpy(), outer.gradient(weighed, logits).numpy()]

    alone = first_and_second(lambda z: log_probability_of(z, targets))
    of_all = first_and_second(lambda z: of_targets(log_probabilities(z), targets))
    for one, other in zip(alone, of_all, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_a_diverged_student_is_seen() -> None:
    logits = tf.constant([[np.nan, 0.0]])
    assert np.isnan(log_probabilities(logits)).all()
    assert np.isnan(log_probability_of(logits, tf.constant([1])))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize(
    ("logits", "target", "expected"),
    [
        ([3.0, 1.0, 2.0], 0, 1.0),
        ([3.0, 1.0, 2.0], 1, -2.0),
        ([2.0, 2.0, 2.0], 2, 0.0),
        ([3e4, 0.0, 1.0], 0, -FLOOR),
        ([3e4, 0.0, 1.0], 1, FLOOR),
        ([0.0, -np.inf, -np.inf], 0, -FLOOR),
        ([0.0, -np.inf, -np.inf], 1, FLOOR),
        ([0.0, 0.0, np.inf], 2, -FLOOR),
        ([-np.inf, -np.inf, -np.inf], 1, 0.0),
    ],
)
def test_log_margin(logits, target, expected, dtype):
    got = log_margin(tf.constant([logits], dtype), tf.constant([target]))
    assert got.dtype == dtype
    np.testing.assert_allclose(tf.cast(got, tf.float64), [expected], rtol=1e-2)


def test_margin_keeps_what_probabilities_lose():
    logits = tf.constant([[30.0, 0.0, -1.0]])
    assert log_margin(logits, tf.constant([0]))[0] == 30.0
    assert tf.nn.softmax(logits)[0, 0] == 1.0


def test_ties_share_the_derivative():
    logits = tf.Variable([[0.0, 1.0, 1.0]])
    with tf.GradientTape() as tape:
        margin = log_margin(logits, tf.constant([0]))
    np.testing.assert_allclose(tape.gradient(margin, logits), [[1.0, -0.5, -0.5]])


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64], ids=lambda dtype: dtype.name)
def test_of_targets(dtype):
    values = tf.constant([[3.0, 1.0], [5.0, 7.0]])
    np.testing.assert_allclose(of_targets(values, tf.constant([0, 1], dtype)), [3.0, 7.0])


def test_unknown_number_of_classes():
    spec = [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None], tf.int32)]
    margin = tf.function(log_margin, input_signature=spec)
    np.testing.assert_allclose(margin(tf.constant([[3.0, 1.0]]), tf.constant([1])), [-2.0])
