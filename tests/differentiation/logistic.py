"""A small problem whose coefficients are a nest of all kinds, and the call that solves it."""

import numpy as np
import tensorflow as tf
from oracles import Hypergradient, Problem

import tf_l2t
from tf_l2t.differentiation import SGD, UpdateRule

STEPS = 7


def problem_of(dtype: str = "float64", rule: UpdateRule | None = None) -> Problem:
    """Logistic regression to targets that change, in a nest of all kinds of coefficients."""
    rng = np.random.default_rng(0)
    features = tf.constant(rng.standard_normal((STEPS, 6, 3)), dtype)

    def inner_loss(weights, variables, coefficients, batch):
        w, b = weights
        first, (second, third) = coefficients["first"], coefficients["pair"]
        margins = tf.linalg.matvec(batch, w) + b
        loss = tf.reduce_mean(tf.nn.softplus(-first * margins)) * tf.exp(second["scalar"])
        return loss + tf.reduce_sum(third * w**2), variables

    return Problem(
        inner_loss,
        lambda weights, variables: tf.reduce_sum((weights[0] - 1.0) ** 2) + weights[1] ** 2,
        lambda t: features[t],
        rule or SGD(0.125, momentum=0.5),
        STEPS,
        [tf.constant([0.5, -0.5, 0.25], dtype), tf.constant(0.125, dtype)],
        {
            "first": tf.constant(rng.standard_normal(6), dtype),
            "pair": ({"scalar": tf.constant(0.25, dtype)}, tf.constant([0.5, 0.25, 0.125], dtype)),
        },
    )


def call(problem: Problem, **settings) -> Hypergradient:
    arguments = {
        "inner_loss": lambda w, c, batch: problem.inner_loss(w, [], c, batch)[0],
        "outer_loss": lambda w: problem.outer_loss(w, []),
        "weights": problem.weights,
        "coefficients": problem.coefficients,
        "batch_fn": problem.batch_fn,
        "update_rule": problem.update_rule,
        "num_steps": problem.num_steps,
    }
    return Hypergradient(*tf_l2t.hypergradient(**{**arguments, **settings}))
