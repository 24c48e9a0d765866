import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import DynamicBilinear, DynamicDiagonal
from tf_l2t.teachers.initial import initial_coefficients
from tf_l2t.types import Outputs

RNG = np.random.default_rng(0)
LOGITS, TARGETS = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
PHI = RNG.normal(size=4)


def test_value():
    got = DynamicDiagonal()(Outputs(tf.constant(LOGITS)), TARGETS, {"phi": tf.constant(PHI)})
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    score = PHI[TARGETS] * log_p[np.arange(7), TARGETS]
    np.testing.assert_allclose(got, -1 / (1 + np.exp(-score)), rtol=1e-12)


def test_golden():
    logits = tf.constant([[0.0, 1.0], [0.0, 1.0]])
    got = DynamicDiagonal()(Outputs(logits), tf.constant([0, 1]), {"phi": [0.2, -0.3]})
    np.testing.assert_allclose(got, [-0.43471182, -0.52347735], rtol=1e-6)


def test_it_is_the_bilinear_loss_of_a_diagonal_matrix():
    outputs = Outputs(tf.constant(LOGITS))
    got = DynamicDiagonal()(outputs, TARGETS, {"phi": PHI})
    want = DynamicBilinear()(outputs, TARGETS, {"phi": np.diag(PHI)})
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_only_the_entries_of_the_targets_have_a_gradient():
    phi = tf.Variable(PHI)
    with tf.GradientTape() as tape:
        loss = DynamicDiagonal()(Outputs(tf.constant(LOGITS[:2])), [3, 3], {"phi": phi})
    gradient = tf.convert_to_tensor(tape.gradient(loss, phi)).numpy()
    assert np.all(gradient[:3] == 0)
    assert gradient[3] != 0


def test_coefficient_shapes():
    assert DynamicDiagonal().coefficient_shapes(10) == {"phi": (10,)}
    initial = initial_coefficients(DynamicDiagonal().coefficient_shapes(3), 0.2, 0.01)
    np.testing.assert_array_equal(initial["phi"], [0.2, 0.2, 0.2])


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        ({}, r"DynamicDiagonal: coefficients\['phi'\] is missing, got \[\]; let a teacher"),
        ({"phi": np.eye(4)}, r"\['phi'\] must have shape \[4\] .* got \(4, 4\)"),
        ({"phi": np.ones(5)}, r"\['phi'\] must have shape \[4\] .* got \(5,\)"),
    ],
)
def test_wrong_coefficients(coefficients, message):
    with pytest.raises(ValueError, match=message):
        DynamicDiagonal()(Outputs(tf.constant(LOGITS)), TARGETS, coefficients)
