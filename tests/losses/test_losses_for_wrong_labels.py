import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import (
    CrossEntropy,
    DynamicForwardCorrection,
    ForwardCorrection,
    GeneralizedCrossEntropy,
)
from tf_l2t.types import Outputs

LOGITS = tf.constant([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 1.0, 1.5]])
TARGETS = tf.constant([0, 2, 0])


def test_generalized_cross_entropy_lies_between_its_limits() -> None:
    p = tf.gather(tf.nn.softmax(LOGITS), TARGETS, batch_dims=1)
    outputs = Outputs(LOGITS)
    np.testing.assert_allclose(
        GeneralizedCrossEntropy(q=1.0)(outputs, TARGETS, {}), 1 - p, rtol=1e-6
    )
    near = GeneralizedCrossEntropy(q=1e-4)(outputs, TARGETS, {})
    np.testing.assert_allclose(near, CrossEntropy()(outputs, TARGETS, {}), rtol=1e-3)
    middle = GeneralizedCrossEntropy()(outputs, TARGETS, {})
    np.testing.assert_allclose(middle, (1 - p**0.7) / 0.7, rtol=1e-6)


def test_forward_correction_is_cross_entropy_after_the_noise() -> None:
    matrix = np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]])
    noisy = tf.nn.softmax(LOGITS).numpy() @ matrix
    expected = -np.log(noisy[np.arange(3), TARGETS])
    found = ForwardCorrection(matrix)(Outputs(LOGITS), TARGETS, {})
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_noise_forward_correction_is_cross_entropy() -> None:
    found = ForwardCorrection(np.eye(3))(Outputs(LOGITS), TARGETS, {})
    np.testing.assert_allclose(found, CrossEntropy()(Outputs(LOGITS), TARGETS, {}), rtol=1e-6)


@pytest.mark.parametrize("q", [0.0, -0.1, 1.1, float("nan")])
def test_q_is_checked(q) -> None:
    with pytest.raises(ValueError, match="q must be in"):
        GeneralizedCrossEntropy(q=q)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 0.0]], "must be square"),
        ([[0.5, 0.4], [0.0, 1.0]], "summing to 1"),
        ([[1.5, -0.5], [0.0, 1.0]], "summing to 1"),
    ],
)
def test_the_transition_matrix_is_checked(matrix, message) -> None:
    with pytest.raises(ValueError, match=message):
        ForwardCorrection(matrix)


def test_a_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="for 2 classes, and the student has 3"):
        ForwardCorrection(np.eye(2))(Outputs(LOGITS), TARGETS, {})


def test_the_taught_correction_is_the_correction_of_its_matrix() -> None:
    phi = tf.constant([[2.0, 0.5, -1.0], [0.0, 6.0, 0.0], [0.0, 0.0, 0.0]])
    taught = DynamicForwardCorrection()(Outputs(LOGITS), TARGETS, {"phi": phi})
    fixed = ForwardCorrection(tf.nn.softmax(phi).numpy())(Outputs(LOGITS), TARGETS, {})
    np.testing.assert_allclose(taught, fixed, rtol=1e-5)
    sure = DynamicForwardCorrection()(Outputs(LOGITS), TARGETS, {"phi": 50 * tf.eye(3)})
    np.testing.assert_allclose(sure, CrossEntropy()(Outputs(LOGITS), TARGETS, {}), rtol=1e-5)


def test_the_taught_correction_may_be_told_that_labels_are_mostly_right() -> None:
    phi = tf.constant([[2.0, 0.5, -1.0], [0.0, 6.0, 0.0], [-60.0, 60.0, 0.0]])
    loss = DynamicForwardCorrection(least_right=0.6)
    expected = 0.6 * np.eye(3) + 0.4 * tf.nn.softmax(phi).numpy()
    np.testing.assert_allclose(loss.transition_matrix(phi), expected, rtol=1e-5, atol=1e-30)
    fixed = ForwardCorrection(expected)(Outputs(LOGITS), TARGETS, {})
    np.testing.assert_allclose(loss(Outputs(LOGITS), TARGETS, {"phi": phi}), fixed, rtol=1e-5)
    with pytest.raises(ValueError, match=r"least_right must be in \[0, 1\), got 1"):
        DynamicForwardCorrection(least_right=1.0)


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [({}, r"coefficients\['phi'\] is missing"), ({"phi": tf.eye(2)}, r"must have shape \[3, 3\]")],
)
def test_coefficients_are_checked(coefficients, message) -> None:
    with pytest.raises(ValueError, match=f"DynamicForwardCorrection: .*{message}"):
        DynamicForwardCorrection()(Outputs(LOGITS), TARGETS, coefficients)
