"""Hypergradients of quadratics: closed forms, the paper's equations, every rule and policy."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import (
    Problem,
    WithEngine,
    assert_is_that_of_differences,
    assert_same,
    full_unroll,
)

from tf_l2t.differentiation import SGD, Adam, AdamW, hypergradient
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES

schedules = keras.optimizers.schedules
BOTH = {"weight_decay": 0.05, "global_clipnorm": 0.25}
COSINE = schedules.CosineDecay(0.0, 6, alpha=0.1, warmup_target=0.2, warmup_steps=2)
PIECEWISE = schedules.PiecewiseConstantDecay([1, 4], [0.2, 0.1, 0.02])
ADAM = {"learning_rate": 0.1, "epsilon": 1e-3, "beta_1": 0.8, "beta_2": 0.9}
RULES = {
    "sgd": SGD(0.1),
    "sgd all": SGD(PIECEWISE, **BOTH),
    "sgd any function of t": SGD(lambda t: 0.2 / (1 + tf.cast(t, tf.float64))),
    "momentum": SGD(0.1, momentum=0.9),
    "momentum all": SGD(COSINE, momentum=0.9, **BOTH),
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True),
    "nesterov all": SGD(COSINE, momentum=0.9, nesterov=True, **BOTH),
    "adam": Adam(**ADAM),
    "adam all": Adam(**{**ADAM, "learning_rate": COSINE, **BOTH}),
    "adamw": AdamW(**{**ADAM, "learning_rate": PIECEWISE}, weight_decay=0.1),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
STEPS = 7


def numbers(*shape: int, seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).standard_normal(shape))


def quadratic(rule, num_steps: int = STEPS) -> Problem:
    """A least-squares fit of two weights to other numbers at every step, with four coefficients."""
    matrices = numbers(num_steps, 4, 3, seed=0)

    def inner_loss(weights, variables, coefficients, batch):
        w, u = weights
        scales, (shift, power) = coefficients["scales"], coefficients["others"]
        residual = tf.linalg.matvec(batch, scales * w) - u
        loss = tf.reduce_sum(residual**2) / 2 + tf.exp(power) * tf.reduce_sum(w**2)
        return loss + shift * tf.reduce_sum(u * w[0] + u**2), variables

    return Problem(
        inner_loss,
        lambda weights, variables: tf.reduce_sum((weights[0] - 1.0) ** 2) + weights[1] ** 2,
        lambda t: matrices[t],
        rule,
        num_steps,
        [numbers(3, seed=1), numbers(seed=2)],
        {"scales": 1 + 0.1 * numbers(3, seed=3), "others": (numbers(seed=4), numbers(seed=5))},
    )


@each_rule
def test_every_rule_and_policy(rule):
    problem = quadratic(rule)
    got = WithEngine(problem).every_policy(3, 1, STEPS, 100, None)
    assert_same(got, full_unroll(problem), rtol=1e-11, atol=1e-12)
    assert_is_that_of_differences(got, problem)


@pytest.mark.parametrize("rule", ["sgd", "momentum all", "nesterov", "adam all", "adamw"])
def test_every_rule_and_policy_with_jit(rule):
    problem = quadratic(RULES[rule], num_steps=4)
    got = WithEngine(problem, jit_compile=True).every_policy(2)
    assert_same(got, full_unroll(problem), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("rule", ["momentum", "adamw"])
def test_a_single_step(rule):
    problem = quadratic(RULES[rule], num_steps=1)
    got = WithEngine(problem).every_policy(1, 5, None)
    assert_same(got, full_unroll(problem), rtol=1e-12, atol=1e-12)
    assert_is_that_of_differences(got, problem)


def test_the_clip_is_active():
    clipped = full_unroll(quadratic(SGD(0.1, global_clipnorm=0.25)))
    free, wide = (full_unroll(quadratic(SGD(0.1, global_clipnorm=c))) for c in (None, 1e3))
    assert not np.allclose(clipped.gradients["scales"], free.gradients["scales"], rtol=0.1)
    assert_same(wide, free, rtol=1e-12, atol=1e-12)


MATRICES = {
    # A step on the distance to the target and the velocity, where the curvature is h. Like that of
    # Keras the learning rate is a float32, which holds 1/8.
    "sgd": (SGD(0.125), lambda h: [[1 - h / 8, 0.0], [0.0, 0.0]]),
    "momentum": (SGD(0.125, momentum=0.9), lambda h: [[1 - h / 8, 0.9], [-h / 8, 0.9]]),
    "nesterov": (
        SGD(0.125, momentum=0.9, nesterov=True),
        lambda h: [[1 - 1.9 * h / 8, 0.81], [-h / 8, 0.9]],
    ),
}


@pytest.mark.parametrize(("rule", "matrix_of"), MATRICES.values(), ids=MATRICES)
def test_closed_form(rule, matrix_of):
    num_steps, target = 11, np.array([1.0, -2.0, 0.5])
    curvature, start = np.array([0.5, 3.0, 6.0]), np.array([2.0, 1.0, -1.0])
    value, gradient, (initial_gradient,) = hypergradient(
        lambda w, h, batch: tf.reduce_sum(h * (w[0] - target) ** 2) / 2,
        lambda w: tf.reduce_sum(w[0] ** 2) / 2,
        [tf.constant(start)],
        tf.constant(curvature),
        lambda t: (),
        rule,
        num_steps,
        segment_length=4,
    )
    # Every coordinate is a linear recurrence of its own: z_T = P(h)^T·z_0, differentiated by h.
    for i, h in enumerate(curvature):
        step, slope = np.array(matrix_of(h)), np.array(matrix_of(1.0)) - np.array(matrix_of(0.0))
        powers = [np.linalg.matrix_power(step, k) for k in range(num_steps + 1)]
        z = np.array([start[i] - target[i], 0.0])
        last = (powers[-1] @ z)[0] + target[i]
        derivative = sum(powers[num_steps - 1 - t] @ slope @ powers[t] for t in range(num_steps))
        np.testing.assert_allclose(gradient[i], last * (derivative @ z)[0], rtol=1e-10)
        np.testing.assert_allclose(initial_gradient[i], last * powers[-1][0, 0], rtol=1e-10)
    if rule.momentum == 0:
        last = target + (1 - curvature / 8) ** num_steps * (start - target)
        shrunk = (1 - curvature / 8) ** (num_steps - 1)
        want = -num_steps / 8 * shrunk * (start - target) * last
        np.testing.assert_allclose(gradient, want, rtol=1e-10)
        np.testing.assert_allclose(value, np.sum(last**2) / 2, rtol=1e-12)


def test_equations_4_and_5_of_the_paper():
    """dω̃ and dθ of L2T-DLF, section 3.3, with numpy for plain gradient descent."""
    num_steps, rates = 12, 0.2 / (1 + np.arange(12))
    rng = np.random.default_rng(3)
    features, targets = rng.standard_normal((num_steps, 8, 3)), rng.standard_normal((num_steps, 8))
    dev, dev_targets = rng.standard_normal((8, 3)), rng.standard_normal(8)
    phi, start = rng.standard_normal(8), rng.standard_normal(3)

    def inner_loss(w, phi, batch):
        x, y = batch
        return tf.reduce_mean(tf.exp(phi) * (tf.linalg.matvec(x, w[0]) - y) ** 2)

    value, got, (got_start,) = hypergradient(
        inner_loss,
        lambda w: tf.reduce_mean((tf.linalg.matvec(dev, w[0]) - dev_targets) ** 2),
        [tf.constant(start)],
        tf.constant(phi),
        lambda t: (tf.constant(features)[t], tf.constant(targets)[t]),
        SGD(lambda t: tf.constant(rates)[t]),
        num_steps,
        segment_length=5,
    )

    trajectory, scales = [start], np.exp(phi)
    for t in range(num_steps):
        residual = features[t] @ trajectory[t] - targets[t]
        gradient = features[t].T @ (2 * scales * residual) / 8
        trajectory.append(trajectory[t] - rates[t] * gradient)
    last = dev @ trajectory[-1] - dev_targets
    d_weights, d_phi = dev.T @ (2 * last) / 8, np.zeros(8)
    for t in reversed(range(num_steps)):
        residual = features[t] @ trajectory[t] - targets[t]
        hessian = features[t].T @ np.diag(2 * scales) @ features[t] / 8
        mixed = np.diag(2 * scales * residual) @ features[t] / 8
        d_phi -= rates[t] * mixed @ d_weights  # equation (5)
        d_weights -= rates[t] * hessian @ d_weights  # equation (4)
    np.testing.assert_allclose(value, np.mean(last**2), rtol=1e-12)
    np.testing.assert_allclose(got, d_phi, rtol=1e-11)
    np.testing.assert_allclose(got_start, d_weights, rtol=1e-11)


@pytest.mark.parametrize("rule", ["sgd", "momentum all", "adam all"])
def test_truncation_is_an_unroll_of_the_last_steps(rule):
    problem = quadratic(RULES[rule])
    run, whole = WithEngine(problem), full_unroll(problem)
    for truncate in (1, 3, STEPS, STEPS + 5):
        want = full_unroll(problem, truncate)
        for storage in STORAGE_POLICIES:
            got = run(storage, 2, truncate)
            assert_same(got, want, rtol=1e-11, atol=1e-12)
            if truncate >= STEPS:
                assert_same(got, whole, rtol=1e-11, atol=1e-12)
            else:
                assert not np.allclose(got.gradients["scales"], whole.gradients["scales"])


@pytest.mark.parametrize("rule", ["momentum", "adam"])
def test_coefficients_without_influence_get_zeros(rule):
    problem = quadratic(RULES[rule])
    value, gradients, _ = hypergradient(
        lambda w, c, batch: problem.inner_loss(w, [], problem.coefficients, batch)[0],
        lambda w: problem.outer_loss(w, []),
        problem.weights,
        {"unused": tf.ones(2), "neither": [tf.ones([], tf.float64)]},
        problem.batch_fn,
        RULES[rule],
        STEPS,
    )
    assert np.isfinite(value)
    np.testing.assert_array_equal(gradients["unused"], [0.0, 0.0])
    assert gradients["neither"][0] == 0.0
    assert gradients["neither"][0].dtype == tf.float64


@pytest.mark.parametrize("rule", ["momentum all", "adam all"])
def test_not_a_number_is_not_hidden(rule):
    problem = quadratic(RULES[rule])
    hole = tf.constant([1.0, 1.0, 1.0, np.nan, 1.0, 1.0, 1.0], tf.float64)
    spoilt = dataclasses.replace(problem, batch_fn=lambda t: hole[t] * problem.batch_fn(t))
    run = WithEngine(spoilt)
    for storage in STORAGE_POLICIES:
        got = run(storage)
        assert np.isnan(got.value)
        assert all(np.isnan(tensor).any() for tensor in tf.nest.flatten(got))
