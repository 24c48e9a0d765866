import numpy as np
import tensorflow as tf

from tf_l2t.measures import NegativeCrossEntropy
from tf_l2t.types import Outputs


def test_value():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    got = NegativeCrossEntropy()(Outputs(tf.constant(logits)), targets)
    odds = np.exp(logits)
    np.testing.assert_allclose(got, np.log(odds[np.arange(7), targets] / odds.sum(1)), rtol=1e-12)


def test_golden():
    got = NegativeCrossEntropy()(Outputs(tf.constant([[1.0, 2.0, 3.0]] * 3)), tf.range(3))
    np.testing.assert_allclose(got, [-2.407606, -1.407606, -0.407606], rtol=1e-6)


def test_a_probability_of_zero_has_a_floor():
    got = NegativeCrossEntropy()(Outputs(tf.constant([[0.0, -np.inf]])), tf.constant([1]))
    np.testing.assert_allclose(got, [-1e4])
