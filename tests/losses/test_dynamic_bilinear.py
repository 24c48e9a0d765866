import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import CrossEntropy, DynamicBilinear
from tf_l2t.types import Outputs

RNG = np.random.default_rng(0)
LOGITS, TARGETS = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
PHI = RNG.normal(size=(4, 4))


@pytest.mark.parametrize("bias", [None, 0.7])
def test_value(bias):
    coefficients = {"phi": tf.constant(PHI)}
    if bias is not None:
        coefficients["bias"] = tf.constant(bias, tf.float64)
    loss = DynamicBilinear(bias=bias is not None)
    got = loss(Outputs(tf.constant(LOGITS)), TARGETS, coefficients)
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    score = np.einsum("bi,ij,bj->b", np.eye(4)[TARGETS], PHI, log_p) + (bias or 0.0)
    np.testing.assert_allclose(got, -1 / (1 + np.exp(-score)), rtol=1e-12)


def test_golden():
    phi = tf.constant([[0.2, 0.1], [-0.3, 0.4]])
    logits = tf.constant([[0.0, 1.0], [0.0, 1.0]])
    got = DynamicBilinear()(Outputs(logits), tf.constant([0, 1]), {"phi": phi})
    np.testing.assert_allclose(got, [-0.4270301, -0.5667673], rtol=1e-6)


def test_a_small_identity_has_the_gradient_of_cross_entropy_times_a_quarter():
    logits, scale = tf.constant(LOGITS), 1e-4
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        taught = DynamicBilinear()(Outputs(logits), TARGETS, {"phi": scale * np.eye(4)})
        fixed = CrossEntropy()(Outputs(logits), TARGETS, {})
    want = scale / 4 * tape.gradient(fixed, logits)
    np.testing.assert_allclose(tape.gradient(taught, logits), want, rtol=1e-6)


def test_only_the_rows_of_the_targets_have_a_gradient():
    phi = tf.Variable(PHI)
    with tf.GradientTape() as tape:
        loss = DynamicBilinear()(Outputs(tf.constant(LOGITS[:2])), [3, 3], {"phi": phi})
    gradient = tf.convert_to_tensor(tape.gradient(loss, phi)).numpy()
    assert np.all(gradient[:3] == 0)
    assert np.all(gradient[3] != 0)


def test_coefficient_shapes():
    assert DynamicBilinear().coefficient_shapes(10) == {"phi": (10, 10)}
    assert DynamicBilinear(bias=True).coefficient_shapes(3) == {"phi": (3, 3), "bias": ()}


@pytest.mark.parametrize(
    ("bias", "coefficients", "message"),
    [
        (False, {}, r"coefficients\['phi'\] is missing, got \[\]; let a teacher"),
        (True, {"phi": np.eye(4)}, r"coefficients\['bias'\] is missing, got \['phi'\]"),
        (False, {"phi": np.eye(5)}, r"\['phi'\] must have shape \[4, 4\] .* got \(5, 5\)"),
        (False, {"phi": np.ones(4)}, r"\['phi'\] must have shape \[4, 4\] .* got \(4,\)"),
        (True, {"phi": np.eye(4), "bias": np.ones(4)}, r"\['bias'\] must have shape \[\] for"),
    ],
)
def test_wrong_coefficients(bias, coefficients, message):
    with pytest.raises(ValueError, match=message):
        DynamicBilinear(bias=bias)(Outputs(tf.constant(LOGITS)), TARGETS, coefficients)
