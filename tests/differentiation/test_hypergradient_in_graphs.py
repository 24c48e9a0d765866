"""The function `hypergradient` inside a `tf.function`, and what it does to the user's functions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from logistic import call, problem_of
from oracles import Hypergradient, assert_same, full_unroll

import tf_l2t
from tf_l2t.differentiation import SGD


@pytest.mark.parametrize(
    ("storage", "outer_jit", "jit_compile"),
    [(storage, outer, False) for storage in ("memory", "recompute") for outer in (False, True)]
    + [("recompute", False, True), ("memory", True, True)],
)
def test_inside_a_tf_function(storage, outer_jit, jit_compile):
    problem = problem_of()

    @tf.function(jit_compile=outer_jit)
    def compiled(weights, coefficients):
        inside = dataclasses.replace(problem, weights=weights, coefficients=coefficients)
        return call(inside, storage=storage, segment_length=3, jit_compile=jit_compile)

    got = compiled(problem.weights, problem.coefficients)
    assert_same(got, full_unroll(problem), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("storage", ["host", "disk"])
def test_policies_that_leave_the_graph_are_refused_in_a_tf_function(storage):
    steps_run = []

    def batch_fn(t):
        steps_run.append(t)
        return problem_of().batch_fn(t)

    message = f"storage='{storage}' .* use storage='memory' or 'recompute'"
    with pytest.raises(ValueError, match=message):
        tf.function(lambda: call(problem_of(), storage=storage, batch_fn=batch_fn))()
    assert not steps_run


def test_recompute_waits_for_the_reversal_of_later_steps_in_a_tf_function():
    """Else all states would be in memory at once, which is what recomputing should spare."""
    seen = []

    def note(t, weights):
        seen.append(int(t))
        return np.ones(())

    def inner_loss(weights, coefficient, t):
        one = tf.numpy_function(note, [t, weights[0]], tf.float64, stateful=False)
        return coefficient * tf.reduce_sum(tf.ensure_shape(one, []) * weights[0] ** 4)

    compiled = tf.function(
        lambda: tf_l2t.hypergradient(
            inner_loss,
            lambda weights: tf.reduce_sum(weights[0] ** 2),
            [tf.ones(2, tf.float64)],
            tf.constant(1.0, tf.float64),
            lambda t: t,
            SGD(0.01),
            16,
            storage="recompute",
        )
    )
    compiled()
    assert sorted(seen) == sorted(3 * list(range(16)))
    assert seen[:16] == list(range(16))
    for first in (0, 4, 8):
        again = seen.index(first, 16)
        assert all(seen[:again].count(t) >= 2 for t in range(first + 4, first + 8))


def test_losses_with_python_control_flow_become_graphs(caplog):
    """Autograph rewrites the user's functions, wherever it is called, and leaves ours alone."""

    def inner_loss(weights, coefficient, batch):
        loss = coefficient * tf.reduce_sum(weights[0] ** 2)
        if loss > 1.0:
            loss = loss**2
        return loss

    def run():
        return Hypergradient(
            *tf_l2t.hypergradient(
                inner_loss,
                lambda weights: tf.reduce_sum(weights[0]),
                [tf.ones(2, tf.float64)],
                tf.constant(1.0, tf.float64),
                lambda t: (),
                SGD(0.0625),
                6,
            )
        )

    outside = run()
    assert_same(tf.function(run)(), outside)
    assert not any("AutoGraph" in record.getMessage() for record in caplog.records)
    # By hand: w' = w - lr·(4·c²·|w|²·w) while c·|w|² > 1, and w - lr·2·c·w from there on.
    weight = 1.0
    for _ in range(6):
        square = 2 * weight**2
        weight -= 0.0625 * (4 * square * weight if square > 1 else 2 * weight)
    np.testing.assert_allclose(outside.value, 2 * weight, rtol=1e-12)
