import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import CrossEntropy, LargeMarginSoftmax
from tf_l2t.types import Outputs

RNG = np.random.default_rng(0)
BATCH, WIDTH, CLASSES = 40, 3, 4
FEATURES, KERNEL = RNG.normal(size=(BATCH, WIDTH)), RNG.normal(size=(WIDTH, CLASSES))
BIAS, TARGETS = RNG.normal(size=CLASSES), RNG.integers(0, CLASSES, BATCH)


def outputs_of(features, kernel, bias=0.0):
    features, kernel = tf.constant(features), tf.constant(kernel)
    return Outputs(features @ kernel + bias, features, kernel)


def psi(theta, margin):
    """ψ by its definition: the arc of [0, π] that θ lies in, and a cosine."""
    arc = np.minimum(np.floor(theta * margin / np.pi), margin - 1)
    return (-1.0) ** arc * np.cos(margin * theta) - 2 * arc


@pytest.mark.parametrize("annealing", [0.0, 0.5, 1000.0])
@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_value(margin, annealing):
    got = LargeMarginSoftmax(margin=margin)(
        outputs_of(FEATURES, KERNEL, BIAS), TARGETS, {"annealing": tf.constant(annealing)}
    )
    for i, y in enumerate(TARGETS):
        x, w = FEATURES[i], KERNEL[:, y]
        norms = np.linalg.norm(x) * np.linalg.norm(w)
        theta = np.arccos(x @ w / norms)
        f = x @ KERNEL + BIAS
        f[y] = (annealing * x @ w + norms * psi(theta, margin)) / (1 + annealing) + BIAS[y]
        np.testing.assert_allclose(got[i], np.log(np.sum(np.exp(f))) - f[y], rtol=1e-10)


def test_the_angles_of_the_test_lie_in_every_arc():
    cosines = np.sum(FEATURES * KERNEL.T[TARGETS], 1) / (
        np.linalg.norm(FEATURES, axis=1) * np.linalg.norm(KERNEL.T[TARGETS], axis=1)
    )
    assert set(np.floor(np.arccos(cosines) * 4 / np.pi)) == {0, 1, 2, 3}


def test_golden():
    outputs = outputs_of(np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    got = LargeMarginSoftmax(margin=2)(outputs, [0, 0], {"annealing": 0.0})
    # cos θ is 1 and 0.6, so ψ is 1 and 2·0.36 - 1 = -0.28.
    np.testing.assert_allclose(got, [np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.08))], rtol=1e-14)


def test_margin_of_one_is_cross_entropy():
    outputs = outputs_of(FEATURES, KERNEL, BIAS)
    got = LargeMarginSoftmax(margin=1)(outputs, TARGETS, {"annealing": 0.0})
    np.testing.assert_allclose(got, CrossEntropy()(outputs, TARGETS, {}), rtol=1e-13)


@pytest.mark.parametrize("margin", [2, 3, 4])
def test_continuous_and_decreasing_from_arc_to_arc(margin):
    theta = np.linspace(0, np.pi, 2001)
    got = LargeMarginSoftmax(margin=margin)._psi(tf.constant(np.cos(theta)))
    np.testing.assert_allclose(got, psi(theta, margin), atol=1e-12)
    assert np.all(np.diff(got) < 0)
    assert np.max(-np.diff(got)) < 2 * margin * np.pi / 2000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("margin", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("features", "weights"),
    [
        ([0.0, 0.0], [1.0, 2.0]),
        ([1.0, 2.0], [0.0, 0.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1e-9, 0.0], [1.0, 0.0]),
        ([1e-18, 1e-19], [0.7, 0.9]),
        ([1e-7, 1e-7], [1.0, 0.5]),
        ([0.1, 0.7], [0.3, 2.1]),
        ([0.1, 0.7], [-0.3, -2.1]),
        ([1.0, 0.0], [0.0, 1.0]),
        ([1e4, 1e4], [1e4, 1.0]),
    ],
)
def test_finite_where_the_angle_is_not_defined_or_at_an_end(features, weights, margin, dtype):
    x = tf.constant([features], dtype)
    kernel = tf.constant(np.stack([weights, [1.0, -1.0]], axis=1), dtype)
    loss = LargeMarginSoftmax(margin=margin)
    with tf.GradientTape() as outer:
        outer.watch([x, kernel])
        with tf.GradientTape() as inner:
            inner.watch([x, kernel])
            value = loss(Outputs(x @ kernel, x, kernel), tf.constant([0]), {"annealing": 0.0})
        gradient = inner.gradient(value, [x, kernel])
    product = outer.gradient(gradient, [x, kernel])
    for part in tf.nest.flatten([value, gradient, product]):
        assert np.all(np.isfinite(part))


@pytest.mark.parametrize("size", [1e-7, 1e-9, 1e-12, 1e-18])
def test_second_derivative_is_bounded_close_to_zero(size):
    kernel = tf.constant([[0.7, 1.0], [0.9, -1.0]])
    x = tf.constant([[size, size / 10]])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            outputs = Outputs(x @ kernel, x, kernel)
            value = LargeMarginSoftmax()(outputs, tf.constant([0]), {"annealing": 0.0})
        gradient = inner.gradient(value, x)
    assert np.max(np.abs(outer.gradient(gradient, x))) < 1e8


def test_second_derivative_at_an_angle_of_zero_is_not_clipped_away():
    kernel = tf.constant([[0.3, 1.0], [2.1, -1.0]], tf.float64)
    loss = LargeMarginSoftmax(margin=2)

    def gradient_at(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(Outputs(x @ kernel, x, kernel), tf.constant([0]), {"annealing": 0.0})
        return tape.gradient(value, x)

    x = tf.constant([[0.1, 0.7]], tf.float64)
    across = tf.constant([[0.7, -0.1]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        gradient = gradient_at(x)
    want = (gradient_at(x + 1e-5 * across) - gradient_at(x - 1e-5 * across)) / 2e-5
    np.testing.assert_allclose(tape.gradient(gradient, x, across), want, rtol=1e-6, atol=1e-8)


def test_mixed_precision_features():
    outputs = outputs_of(FEATURES.astype("float32"), KERNEL.astype("float32"))
    rounded = outputs._replace(features=tf.cast(outputs.features, tf.float16))
    coefficients = {"annealing": tf.constant(0.0)}
    got = LargeMarginSoftmax()(rounded, TARGETS, coefficients)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, LargeMarginSoftmax()(outputs, TARGETS, coefficients), rtol=0.02)


@pytest.mark.parametrize("step", [0, 1, 1000, 30_000])
def test_schedule(step):
    got = LargeMarginSoftmax().schedule(tf.constant(step))["annealing"]
    np.testing.assert_allclose(got, 1000 * (1 + 2e-5 * step) ** -45.0, rtol=1e-5)


def test_schedule_ends_at_its_minimum_and_can_be_off():
    assert LargeMarginSoftmax(annealing_minimum=5.0).schedule(tf.constant(30_000)) == {
        "annealing": 5.0
    }
    assert LargeMarginSoftmax(annealing_base=0.0).schedule(tf.constant(0)) == {"annealing": 0.0}


@pytest.mark.parametrize("margin", [0, 5, 2.5])
def test_margin_must_be_one_of_four(margin):
    with pytest.raises(ValueError, match=r"margin must be one of \(1, 2, 3, 4\), got"):
        LargeMarginSoftmax(margin=margin)


@pytest.mark.parametrize(
    "name", ["annealing_base", "annealing_gamma", "annealing_power", "annealing_minimum"]
)
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_annealing_must_not_be_negative(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, inf\), got {value}; use"):
        LargeMarginSoftmax(**{name: value})


def test_needs_the_last_layer():
    logits = tf.constant([[0.0, 0.0]])
    with pytest.raises(ValueError, match="outputs.features and outputs.kernel must be .*; use"):
        LargeMarginSoftmax()(Outputs(logits), [0], {"annealing": 0.0})


def test_needs_its_schedule():
    with pytest.raises(ValueError, match=r"coefficients\['annealing'\] is missing.*; pass what"):
        LargeMarginSoftmax()(outputs_of(FEATURES, KERNEL), TARGETS, {})
