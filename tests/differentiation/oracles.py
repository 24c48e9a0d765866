"""Hypergradients without the engine, by a full unroll and by central differences; and with it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_l2t.differentiation import Engine, UpdateRule
from tf_l2t.differentiation.moments import exact_moments
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES
from tf_l2t.types import Nest

ZERO = tf.UnconnectedGradients.ZERO


@dataclasses.dataclass(frozen=True)
class Problem:
    """A training with coefficients in its loss, and the outer loss at its end."""

    inner_loss: Callable  # what `TrainingStep` takes
    outer_loss: Callable  # (weights, variables) -> scalar
    batch_fn: Callable  # t -> batch
    update_rule: UpdateRule
    num_steps: int
    weights: list[tf.Tensor]
    coefficients: Nest
    variables: Sequence[tf.Tensor] = ()
    loss_state: Sequence[Nest] = ()


class Hypergradient(NamedTuple):
    value: tf.Tensor
    gradients: Nest
    initial_gradients: list[tf.Tensor]


def full_unroll(problem: Problem, truncate: int | None = None) -> Hypergradient:
    """One tape around all steps; where truncated nothing flows back beyond the last so many."""
    first = 0 if truncate is None else max(0, problem.num_steps - truncate)
    weights, variables = problem.weights, list(problem.variables)
    slots, initial, own = problem.update_rule.init(weights), [], tuple(problem.loss_state)
    with tf.GradientTape() as tape:
        tape.watch(problem.coefficients)
        for t in range(problem.num_steps):
            coefficients = problem.coefficients
            if t < first:
                coefficients = tf.nest.map_structure(tf.stop_gradient, coefficients)
            if t == first:
                state = (weights, slots, variables, own)
                weights, slots, variables, own = tf.nest.map_structure(tf.stop_gradient, state)
                initial = weights
                tape.watch(initial)
            weights, slots, variables, *own = _one_step(
                problem, weights, slots, variables, coefficients, tf.constant(t), *own
            )
        value = problem.outer_loss(weights, variables)
    sources = [*tf.nest.flatten(problem.coefficients), *initial]
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(value, sources, None, ZERO)]
    inner = gradients[: len(gradients) - len(initial)]
    packed = tf.nest.pack_sequence_as(problem.coefficients, inner)
    return Hypergradient(value, packed, gradients[len(inner) :])


def trainer(problem: Problem) -> Callable[[Nest, list[tf.Tensor]], float]:
    """Returns (coefficients, weights) -> the outer loss after a training."""
    one_step = tf.function(functools.partial(_one_step, problem))

    def train(coefficients: Nest, weights: list[tf.Tensor]) -> float:
        slots, variables = problem.update_rule.init(weights), list(problem.variables)
        own = problem.loss_state
        for t in range(problem.num_steps):
            t = tf.constant(t)
            weights, slots, variables, *own = one_step(
                weights, slots, variables, coefficients, t, *own
            )
        return float(problem.outer_loss(weights, variables))

    return train


def _one_step(problem, weights, slots, variables, coefficients, t, *own):
    with exact_moments(), tf.GradientTape() as tape:
        tape.watch(weights)
        batch = problem.batch_fn(t)
        loss, variables, *own = problem.inner_loss(weights, variables, coefficients, batch, *own)
    gradients = tape.gradient(loss, weights, unconnected_gradients=ZERO)
    weights, slots = problem.update_rule.apply(weights, gradients, slots, t)
    return weights, slots, variables, *own


def central_differences(
    value_fn: Callable[[Nest], float], at: Nest, direction: Nest, step: float
) -> float:
    """Returns the derivative of a function along a direction, of fourth order in the step."""

    def value(distance: float) -> float:
        return value_fn(tf.nest.map_structure(lambda x, d: x + distance * d, at, direction))

    near, far = (value(k * step) - value(-k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def assert_is_that_of_differences(
    got: Hypergradient, problem: Problem, *, step: float = 1e-4, directions: int = 2
) -> None:
    """Compares derivatives along the gradient and random directions of length 1, to 1e-6."""
    at = (problem.coefficients, problem.weights)
    rng, train = np.random.default_rng(11), trainer(problem)
    for which, gradient in enumerate((got.gradients, got.initial_gradients)):
        norm = float(tf.linalg.global_norm(tf.nest.flatten(gradient)))
        assert norm > 1e-6
        for k in range(directions + 1):
            direction = tf.nest.map_structure(
                lambda g, k=k: g if k == 0 else tf.constant(rng.standard_normal(g.shape)), gradient
            )
            length = tf.linalg.global_norm(tf.nest.flatten(direction))
            direction = tf.nest.map_structure(lambda d, length=length: d / length, direction)

            def value_fn(nest: Nest, which: int = which) -> float:
                return train(*(nest, at[1]) if which == 0 else (at[0], nest))

            want = central_differences(value_fn, at[which], direction, step)
            products = tf.nest.map_structure(lambda g, d: tf.reduce_sum(g * d), gradient, direction)
            np.testing.assert_allclose(
                sum(tf.nest.flatten(products)), want, rtol=1e-6, atol=1e-8 * norm
            )


class WithEngine:
    """The engine on a problem: one set of compiled loops for every policy and segment length."""

    def __init__(self, problem: Problem, jit_compile: bool = False) -> None:
        self.problem = problem
        self._step = TrainingStep(
            problem.inner_loss, lambda t, context: problem.batch_fn(t), problem.update_rule
        )
        self._segments = Engine(self._step, jit_compile=jit_compile).segments
        self._outer = OuterGradient(
            lambda weights, variables, chunk: problem.outer_loss(weights, variables),
            jit_compile=jit_compile,
        )

    def __call__(
        self, storage: str, segment_length: int | None = None, truncate: int | None = None
    ) -> Hypergradient:
        problem = self.problem
        engine = Engine(
            self._step, storage=storage, segment_length=segment_length, truncate=truncate
        )
        engine.segments = self._segments
        state = self._step.initial_state(
            problem.weights, list(problem.variables), problem.loss_state
        )
        rollout = engine.roll_out(state, problem.coefficients, problem.num_steps)
        value, adjoint = self._outer(rollout.state)
        result = engine.reverse(rollout, problem.coefficients, adjoint)
        return Hypergradient(value, result.gradients, result.initial_gradients)

    def every_policy(self, *segment_lengths: int | None) -> Hypergradient:
        """Returns the hypergradient, which is the same to the last bit however it is stored."""
        reference = self("memory", segment_lengths[0])
        for storage in STORAGE_POLICIES:
            for length in segment_lengths:
                assert_same(self(storage, length), reference, rtol=0, atol=0)
        return reference


def assert_same(
    got: Hypergradient, want: Hypergradient, *, rtol: float = 1e-6, atol: float = 1e-6
) -> None:
    """Compares two hypergradients; `atol` is relative to the largest entry of each tensor."""
    tf.nest.assert_same_structure(got, want)
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(want), strict=True):
        assert one.dtype == other.dtype
        scale = float(tf.reduce_max(tf.abs(other))) if other.shape.num_elements() else 0.0
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol * scale)
