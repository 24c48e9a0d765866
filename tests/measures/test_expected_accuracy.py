import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.types import Outputs


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_value(temperature):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    got = ExpectedAccuracy(temperature=temperature)(Outputs(tf.constant(logits)), targets)
    odds = np.exp(logits / temperature)
    np.testing.assert_allclose(got, odds[np.arange(7), targets] / odds.sum(1), rtol=1e-12)


def test_golden():
    got = ExpectedAccuracy()(Outputs(tf.constant([[1.0, 2.0, 3.0]] * 3)), tf.range(3))
    np.testing.assert_allclose(got, [0.09003057, 0.24472848, 0.66524094], rtol=1e-6)


def test_a_low_temperature_is_the_accuracy():
    logits = tf.constant([[1.0, 2.0, 3.0]] * 3)
    got = ExpectedAccuracy(temperature=1e-3)(Outputs(logits), tf.range(3))
    np.testing.assert_allclose(got, [0.0, 0.0, 1.0])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="ExpectedAccuracy: temperature must be positive"):
        ExpectedAccuracy(temperature=temperature)
