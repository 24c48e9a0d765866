import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.measures import SmoothZeroOneAccuracy, accuracy
from tf_l2t.types import Outputs


@pytest.mark.parametrize("sharpness", [1.0, 10.0, 50.0])
def test_value(sharpness):
    rng = np.random.default_rng(0)
    logits, targets = 0.3 * rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    got = SmoothZeroOneAccuracy(sharpness=sharpness)(Outputs(tf.constant(logits)), targets)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    others = [np.max(np.delete(row, y)) for row, y in zip(log_p, targets, strict=True)]
    margin = log_p[np.arange(7), targets] - others
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-sharpness * margin)), rtol=1e-11)


def test_golden():
    logits = tf.constant([[0.02, 0.0, -1.0]] * 3)
    got = SmoothZeroOneAccuracy()(Outputs(logits), tf.range(3))
    np.testing.assert_allclose(got, [0.7310586, 0.26894143, 0.0], rtol=1e-5, atol=1e-12)


def test_a_high_sharpness_is_the_accuracy():
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(50, 4)))
    targets = tf.constant(rng.integers(0, 4, 50), tf.int32)
    got = SmoothZeroOneAccuracy(sharpness=1e5)(Outputs(logits), targets)
    np.testing.assert_allclose(got, accuracy(logits, targets), atol=1e-12)


@pytest.mark.parametrize("sharpness", [0.0, -1.0, float("nan"), float("inf")])
def test_sharpness_must_be_positive(sharpness):
    with pytest.raises(ValueError, match="SmoothZeroOneAccuracy: sharpness must be positive"):
        SmoothZeroOneAccuracy(sharpness=sharpness)
