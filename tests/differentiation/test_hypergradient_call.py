"""The function `hypergradient`: what it takes, what it returns and what it refuses."""

import dataclasses
import re
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from logistic import STEPS, call, problem_of
from oracles import Hypergradient, Problem, assert_same, full_unroll

import tf_l2t
from tf_l2t.differentiation import SGD, Adam
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES


@pytest.fixture(scope="module")
def want() -> Hypergradient:
    return full_unroll(problem_of())


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
def test_it_returns_value_gradients_and_initial_gradients(storage, want):
    problem = problem_of()
    got = tf_l2t.hypergradient(
        lambda w, c, batch: problem.inner_loss(w, [], c, batch)[0],
        lambda w: problem.outer_loss(w, []),
        problem.weights,
        problem.coefficients,
        problem.batch_fn,
        problem.update_rule,
        STEPS,
        storage,
        3,
    )
    assert isinstance(got, tuple)
    assert_same(Hypergradient(*got), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", [SGD(0.125, momentum=0.5), Adam(0.0625, epsilon=1e-3)])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_float32(rule, jit_compile):
    problem = problem_of("float32", rule)
    got = call(problem, jit_compile=jit_compile)
    assert_same(got, full_unroll(problem), rtol=1e-4, atol=1e-5)
    exact = full_unroll(problem_of("float64", rule))
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(exact), strict=True):
        assert one.dtype == tf.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("in_function", "jit_compile"), [(False, False), (False, True), (True, False)]
)
def test_chunks_of_the_outer_loss_add_up(in_function, jit_compile):
    problem = problem_of()
    dev = tf.constant(np.random.default_rng(5).standard_normal((12, 3)))

    def outer_loss(weights, rows):
        return tf.reduce_sum(tf.nn.softplus(tf.linalg.matvec(rows, weights[0]) + weights[1]))

    whole = dataclasses.replace(problem, outer_loss=lambda w, variables: outer_loss(w, dev))
    want = full_unroll(whole)
    for chunks in (1, 3):
        size = 12 // chunks

        def chunk_loss(weights, chunk=None, size=size):
            assert (chunk is None) == (size == 12)
            return outer_loss(weights, dev if chunk is None else dev[chunk * size :][:size])

        def run(chunks=chunks, chunk_loss=chunk_loss):
            return call(
                problem, outer_loss=chunk_loss, outer_chunks=chunks, jit_compile=jit_compile
            )

        got = tf.function(run)() if in_function else run()
        assert_same(got, want, rtol=1e-11, atol=1e-12)


def test_one_chunk_is_differentiated_at_a_time():
    """A tensor of a chunk's size is what the outer gradient may hold, whatever their number."""
    sizes = []

    def outer_loss(weights, chunk):
        rows = tf.ones([5, 3], tf.float64) * tf.cast(chunk, tf.float64)
        sizes.append(rows.shape)
        return tf.reduce_sum(tf.linalg.matvec(rows, weights[0]))

    got = call(problem_of(), outer_loss=outer_loss, outer_chunks=1000)
    assert len(sizes) < 10
    assert np.isfinite(got.value)


def test_plain_numbers_arrays_and_variables_are_taken(want):
    problem = problem_of()
    got = call(
        problem,
        weights=(tf.Variable(problem.weights[0]), problem.weights[1].numpy()),
        coefficients=tf.nest.map_structure(lambda tensor: tensor.numpy(), problem.coefficients),
    )
    assert_same(got, want, rtol=1e-12, atol=1e-12)
    _, gradient, _ = tf_l2t.hypergradient(
        lambda w, c, batch: c * tf.reduce_sum(w[0] ** 2),
        lambda w: tf.reduce_sum(w[0]),
        [tf.ones(2)],
        1.5,
        lambda t: (),
        SGD(0.125),
        1,
    )
    np.testing.assert_allclose(gradient, -0.5)


BAD = {
    "num_steps": ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
    "storage": ({"storage": "tape"}, "storage must be one of .*'recompute'.* got 'tape'"),
    "coefficients": (
        {"coefficients": {"first": tf.constant([1, 2])}},
        "coefficients must hold floating-point tensors, got one of dtype int32; cast it",
    ),
    "weights": ({"weights": [tf.constant(True)]}, "weights must hold floating-point .* bool"),
    "no weights": ({"weights": []}, "weights is empty; there is nothing"),
    "no coefficients": ({"coefficients": {}}, "coefficients is empty; there is nothing"),
    "segment_length": ({"segment_length": 0}, "segment_length must be at least 1, got 0"),
    "truncate, no number": ({"truncate": "ten"}, "truncate must be a whole number, got 'ten'"),
    "truncate": ({"truncate": 0}, "truncate must be at least 1, got 0; None is the default"),
    "part of a step": ({"truncate": 2.5}, "truncate must be a whole number, got 2.5"),
    "outer_chunks": ({"outer_chunks": 0}, "outer_chunks must be at least 1, got 0"),
    "an optimizer of Keras": (
        {"update_rule": keras.optimizers.SGD(0.1)},
        "update_rule must be an update rule of tf_l2t, .*update_rule_from_keras",
    ),
    "outer_loss": (
        {"outer_loss": lambda weights: weights[0]},
        r"outer_loss must return a scalar, got the shape \(3,\); take tf.reduce_mean",
    ),
}


@pytest.mark.parametrize(("settings", "message"), BAD.values(), ids=BAD)
def test_bad_arguments_are_refused_before_any_step(settings, message):
    def batch_fn(t):
        raise AssertionError("a step was run")

    with pytest.raises(ValueError, match=message):
        call(problem_of(), batch_fn=batch_fn, **settings)


def test_a_training_loss_of_every_example_is_refused():
    with pytest.raises(ValueError, match=r"inner_loss must return a scalar, got the shape"):
        call(problem_of(), inner_loss=lambda weights, coefficients, batch: weights[0])


def test_numbers_of_numpy_are_taken(want):
    problem = problem_of()
    assert_same(call(problem, num_steps=np.int64(STEPS)), want, rtol=1e-12, atol=1e-12)


def failing(problem: Problem, where: str) -> dict:
    """Returns settings under which the last step or the outer loss fails while it runs."""

    def batch_fn(t):
        with tf.control_dependencies([tf.debugging.assert_less(t, STEPS - 1, "in a step")]):
            return tf.identity(problem.batch_fn(t))

    def outer_loss(weights):
        norm = tf.linalg.global_norm(weights)
        with tf.control_dependencies([tf.debugging.assert_less(norm, norm, "outside")]):
            return tf.identity(problem.outer_loss(weights, []))

    return {"in a step": {"batch_fn": batch_fn}, "outside": {"outer_loss": outer_loss}}[where]


@pytest.mark.parametrize("fails", [None, "in a step", "outside"])
def test_disk_leaves_no_files_behind(tmp_path, monkeypatch, fails):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    problem, seen = problem_of(), []

    def batch_fn(t):
        tf.py_function(
            lambda: seen.append(len(list(tmp_path.rglob("tf_l2t_trajectory_*/[0-9]*")))), [], []
        )
        return problem.batch_fn(t)

    settings = {"batch_fn": batch_fn}
    if fails is None:
        call(problem, storage="disk", segment_length=2, **settings)
        assert max(seen) == 3
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(fails)):
            call(problem, storage="disk", segment_length=2, **failing(problem, fails))
    assert not list(tmp_path.glob("tf_l2t*"))
