import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import SmoothZeroOne
from tf_l2t.types import Outputs


@pytest.mark.parametrize("sharpness", [1.0, 10.0, 50.0])
def test_value(sharpness):
    rng = np.random.default_rng(0)
    logits, targets = 0.3 * rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    got = SmoothZeroOne(sharpness=sharpness)(Outputs(tf.constant(logits)), targets, {})
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    others = [np.max(np.delete(row, y)) for row, y in zip(log_p, targets, strict=True)]
    margin = log_p[np.arange(7), targets] - others
    np.testing.assert_allclose(got, np.log1p(np.exp(-sharpness * margin)), rtol=1e-11)


def test_golden():
    logits = tf.constant([[0.02, 0.0, -1.0]] * 3)
    got = SmoothZeroOne()(Outputs(logits), tf.range(3), {})
    np.testing.assert_allclose(got, [0.3132617, 1.3132617, 51.0], rtol=1e-5)


def test_two_classes_and_unit_sharpness_are_cross_entropy():
    logits = tf.constant([[0.3, -0.4]])
    got = SmoothZeroOne(sharpness=1.0)(Outputs(logits), tf.constant([1]), {})
    np.testing.assert_allclose(got, -tf.nn.log_softmax(logits)[:, 1], rtol=1e-6)


@pytest.mark.parametrize("sharpness", [0.0, -1.0, float("nan"), float("inf")])
def test_sharpness_must_be_positive(sharpness):
    with pytest.raises(ValueError, match="SmoothZeroOne: sharpness must be positive"):
        SmoothZeroOne(sharpness=sharpness)
