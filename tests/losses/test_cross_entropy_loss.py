import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import CrossEntropy, LabelSmoothing
from tf_l2t.types import Outputs

RNG = np.random.default_rng(0)
LOGITS, TARGETS = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)


def test_cross_entropy():
    got = CrossEntropy()(Outputs(tf.constant(LOGITS)), TARGETS, {})
    odds = np.exp(LOGITS)
    np.testing.assert_allclose(got, -np.log(odds[np.arange(7), TARGETS] / odds.sum(1)), rtol=1e-12)


def test_cross_entropy_golden():
    got = CrossEntropy()(Outputs(tf.constant([[1.0, 2.0, 3.0]] * 3)), tf.range(3), {})
    np.testing.assert_allclose(got, [2.407606, 1.407606, 0.407606], rtol=1e-6)


def test_cross_entropy_of_a_probability_of_zero_has_a_ceiling():
    got = CrossEntropy()(Outputs(tf.constant([[0.0, -np.inf]])), tf.constant([1]), {})
    np.testing.assert_allclose(got, [1e4])


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_label_smoothing(epsilon):
    got = LabelSmoothing(epsilon=epsilon)(Outputs(tf.constant(LOGITS)), TARGETS, {})
    odds = np.exp(LOGITS)
    labels = (1 - epsilon) * np.eye(4)[TARGETS] + epsilon / 4
    want = -np.sum(labels * np.log(odds / odds.sum(1, keepdims=True)), axis=1)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_label_smoothing_golden():
    got = LabelSmoothing(epsilon=0.1)(Outputs(tf.constant([[1.0, 2.0, 3.0]] * 3)), tf.range(3), {})
    np.testing.assert_allclose(got, [2.307606, 1.407606, 0.507606], rtol=1e-6)


@pytest.mark.parametrize("epsilon", [1.0, 1.5, -0.1, float("nan")])
def test_epsilon_must_be_a_weight(epsilon):
    with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\), got .*; use 0.1"):
        LabelSmoothing(epsilon=epsilon)
