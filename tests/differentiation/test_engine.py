"""The engine's rollout: contexts of segments, later starts, callbacks and large constants."""

import dataclasses
import weakref

import numpy as np
import pytest
import tensorflow as tf
from logistic import STEPS, problem_of
from oracles import Hypergradient, Problem, assert_same, full_unroll

from tf_l2t.differentiation import SGD, Adam, Engine, hypergradient
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.segments import CompiledSegments, Segment
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES

RULE = SGD(0.125, momentum=0.5)


def step_of(problem: Problem, batch_fn) -> TrainingStep:
    return TrainingStep(problem.inner_loss, batch_fn, problem.update_rule)


def outer_gradient(problem: Problem, state):
    return OuterGradient(lambda weights, variables, _: problem.outer_loss(weights, variables))(
        state
    )


def test_no_states_are_held_while_others_are_recomputed(monkeypatch):
    """The plan counts those of one block; those of the block before are as many."""
    held, run_forward = [], CompiledSegments.forward

    def forward(self, segment, state, coefficients, context, save):
        assert not any(reference() is not None for reference in held)
        result = run_forward(self, segment, state, coefficients, context, save)
        held.extend(weakref.ref(tensor) for tensor in tf.nest.flatten(result[1] or ()))
        return result

    problem = problem_of("float64", RULE)
    step = step_of(problem, lambda t, context: problem.batch_fn(t))
    engine = Engine(step, storage="recompute", segment_length=3)
    rollout = engine.roll_out(step.initial_state(problem.weights), problem.coefficients, STEPS)
    _, adjoint = outer_gradient(problem, rollout.state)
    monkeypatch.setattr(CompiledSegments, "forward", forward)
    engine.reverse(rollout, problem.coefficients, adjoint)
    assert len(held) == 3 * len(tf.nest.flatten(problem.weights))


def test_recompute_takes_a_long_segment_in_parts(monkeypatch):
    problem = problem_of("float64", RULE)
    step = step_of(problem, lambda t, context: context[t])
    features = tf.stack([problem.batch_fn(t) for t in range(STEPS)])
    reports, found, forwards = [], [], []
    run_forward = CompiledSegments.forward

    def forward(self, segment, *arguments, **named):
        forwards.append(segment)
        return run_forward(self, segment, *arguments, **named)

    monkeypatch.setattr(CompiledSegments, "forward", forward)
    for storage in ("memory", "recompute"):
        engine, said = Engine(step, storage=storage, segment_length=STEPS), []
        rollout = engine.roll_out(
            step.initial_state(problem.weights),
            problem.coefficients,
            STEPS,
            context_fn=lambda segment, state: features,
            on_segment=lambda segment, state, context, loss, said=said: said.append(
                (segment, loss.numpy(), state.weights[0].numpy().tolist())
            ),
        )
        _, adjoint = outer_gradient(problem, rollout.state)
        result = engine.reverse(rollout, problem.coefficients, adjoint)
        found.append([tensor.numpy() for tensor in tf.nest.flatten(result)])
        reports.append(said)
    whole, first, second = Segment(0, 7), Segment(0, 3), Segment(3, 4)
    assert forwards == [whole, first, second, second, first]
    assert reports[0] == reports[1]
    assert [segment for segment, *_ in reports[0]] == [whole]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
@pytest.mark.parametrize("truncate", [None, 5])
def test_every_step_reads_the_context_of_its_segment(storage, truncate):
    """As the rows of the segment's batches, which no other segment has, and a number from it."""
    problem = problem_of("float64", RULE)
    features = tf.stack([problem.batch_fn(t) for t in range(STEPS)])

    def context_fn(segment, state):
        rows = features[segment.start : segment.start + segment.length]
        missing = tf.fill([3 - segment.length, *rows.shape[1:]], tf.constant(np.nan, tf.float64))
        rows = tf.concat([rows, missing], axis=0)
        return {"rows": rows * tf.cast(segment.start + 1, tf.float64), "first": segment.start}

    engine = Engine(
        step_of(problem, lambda t, context: context["rows"][t - context["first"]]),
        storage=storage,
        segment_length=3,
        truncate=truncate,
    )
    state = engine.step.initial_state(problem.weights)
    rollout = engine.roll_out(state, problem.coefficients, STEPS, context_fn=context_fn)
    value, adjoint = outer_gradient(problem, rollout.state)
    result = engine.reverse(rollout, problem.coefficients, adjoint)

    # Truncated, the segments are [0, 2), [2, 5) and [5, 7).
    firsts = [0, 0, 0, 3, 3, 3, 6] if truncate is None else [0, 0, 2, 2, 2, 5, 5]
    unrolled = dataclasses.replace(
        problem, batch_fn=lambda t: problem.batch_fn(t) * (firsts[int(t)] + 1)
    )
    want = full_unroll(unrolled, truncate)
    got = Hypergradient(value, result.gradients, result.initial_gradients)
    assert_same(got, want, rtol=1e-12, atol=1e-12)
    norms = [tf.linalg.global_norm(adjoint[:2]), tf.linalg.global_norm(result.initial_gradients)]
    np.testing.assert_allclose([result.final_norm, result.initial_norm], norms)


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
def test_a_context_that_reads_the_state_is_constant(storage):
    """As s_t, the teacher's view of the student, which has no derivative."""
    problem = problem_of("float64", RULE)

    def inner_loss(weights, variables, coefficients, batch):
        examples, observed = batch
        return problem.inner_loss(weights, variables, coefficients, examples * observed)

    engine = Engine(
        TrainingStep(inner_loss, lambda t, seen: (problem.batch_fn(t), seen), RULE),
        storage=storage,
        segment_length=1,
    )
    rollout = engine.roll_out(
        engine.step.initial_state(problem.weights),
        problem.coefficients,
        STEPS,
        context_fn=lambda segment, state: 1 + tf.reduce_sum(state.weights[0]),
    )
    value, adjoint = outer_gradient(problem, rollout.state)
    result = engine.reverse(rollout, problem.coefficients, adjoint)

    def unrolled_loss(weights, variables, coefficients, batch):
        seen = 1 + tf.stop_gradient(tf.reduce_sum(weights[0]))
        return inner_loss(weights, variables, coefficients, (batch, seen))

    want = full_unroll(dataclasses.replace(problem, inner_loss=unrolled_loss))
    got = Hypergradient(value, result.gradients, result.initial_gradients)
    assert_same(got, want, rtol=1e-12, atol=1e-12)


def test_a_rollout_may_start_late_and_go_on():
    problem = problem_of("float64", Adam(0.0625, epsilon=1e-3))
    engine = Engine(step_of(problem, lambda t, context: problem.batch_fn(t)), segment_length=2)
    start = engine.step.initial_state(problem.weights)
    whole = engine.roll_out(start, problem.coefficients, STEPS).state
    half = engine.roll_out(start, problem.coefficients, 4).state
    rest = engine.roll_out(half, problem.coefficients, STEPS, start=4)
    for one, other in zip(tf.nest.flatten(rest.state), tf.nest.flatten(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    _, adjoint = outer_gradient(problem, rest.state)
    late = engine.reverse(rest, problem.coefficients, adjoint)
    want = full_unroll(problem, truncate=3)
    np.testing.assert_allclose(late.gradients["first"], want.gradients["first"], rtol=1e-12)
    for start_at in (STEPS, STEPS + 1):
        with pytest.raises(ValueError, match=f"num_steps={STEPS} and start={start_at}; train for"):
            engine.roll_out(whole, problem.coefficients, STEPS, start=start_at)


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
def test_segments_are_reported(storage):
    problem = problem_of("float64", RULE)
    engine = Engine(
        step_of(problem, lambda t, context: problem.batch_fn(t)),
        storage=storage,
        segment_length=2,
        truncate=3,
    )
    seen, reversed_lengths = [], []
    state = engine.step.initial_state(problem.weights)
    rollout = engine.roll_out(
        state,
        problem.coefficients,
        STEPS,
        context_fn=lambda segment, state: tf.constant(segment.start),
        on_segment=lambda segment, before, context, loss: seen.append(
            (segment, before.weights[0], int(context), float(loss))
        ),
    )
    # The steps that are not recorded are cut apart from those that are.
    cuts = [(0, 2), (2, 2), (4, 2), (6, 1)]
    assert [segment for segment, *_ in seen] == [Segment(*each) for each in cuts]
    assert [context for _, _, context, _ in seen] == [0, 2, 4, 6]
    np.testing.assert_array_equal(seen[0][1], problem.weights[0])
    slots, weights = RULE.init(problem.weights), problem.weights
    losses = []
    for t in range(STEPS):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss, _ = problem.inner_loss(weights, [], problem.coefficients, problem.batch_fn(t))
        weights, slots = RULE.apply(weights, tape.gradient(loss, weights), slots, t)
        losses.append(float(loss))
    means = [np.mean(losses[start : start + length]) for start, length in cuts]
    np.testing.assert_allclose([loss for *_, loss in seen], means, rtol=1e-6)
    _, adjoint = outer_gradient(problem, rollout.state)
    engine.reverse(rollout, problem.coefficients, adjoint, reversed_lengths.append)
    assert reversed_lengths == [1, 2]
    with pytest.raises(ValueError, match="or was reversed before, which empties it; roll the"):
        engine.reverse(rollout, problem.coefficients, adjoint)


def test_students_that_are_not_reversed_are_not_cut_for_it():
    problem = problem_of("float64", RULE)
    engine = Engine(
        step_of(problem, lambda t, context: problem.batch_fn(t)), segment_length=2, truncate=4
    )
    state = engine.step.initial_state(problem.weights)
    for record, starts in ((False, [0, 2, 4, 6]), (True, [0, 2, 3, 5])):
        seen = []
        engine.roll_out(
            state,
            problem.coefficients,
            STEPS,
            record=record,
            on_segment=lambda segment, *_, seen=seen: seen.append(segment.start),
        )
        assert seen == starts


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
def test_a_rollout_that_is_not_recorded_holds_nothing(storage):
    problem = problem_of("float64", RULE)
    engine = Engine(step_of(problem, lambda t, context: problem.batch_fn(t)), storage=storage)
    state = engine.step.initial_state(problem.weights)
    rollout = engine.roll_out(state, problem.coefficients, STEPS, record=False)
    assert rollout.trajectory.nbytes == 0
    with pytest.raises(ValueError, match="no step to reverse: it was made with record=False"):
        engine.reverse(rollout, problem.coefficients, outer_gradient(problem, rollout.state)[1])
    want = engine.roll_out(state, problem.coefficients, STEPS).state
    for one, other in zip(tf.nest.flatten(rollout.state), tf.nest.flatten(want), strict=True):
        np.testing.assert_array_equal(one, other)


def test_recompute_holds_a_tenth_of_what_memory_holds():
    num_steps, problem = 8600, problem_of("float64", SGD(0.125))
    held = {}
    for storage in ("memory", "recompute"):
        engine = Engine(step_of(problem, lambda t, context: problem.batch_fn(0)), storage=storage)
        state = engine.step.initial_state(problem.weights)
        rollout = engine.roll_out(state, problem.coefficients, num_steps)
        _, adjoint = outer_gradient(problem, rollout.state)
        held[storage, "result"] = engine.reverse(rollout, problem.coefficients, adjoint).gradients
        held[storage] = rollout.trajectory.nbytes
    assert held["memory"] == num_steps * 4 * 8
    assert held["recompute"] <= 0.1 * held["memory"]
    tf.nest.map_structure(
        np.testing.assert_array_equal, held["memory", "result"], held["recompute", "result"]
    )


def test_constants_beyond_the_threshold_of_the_memory_optimizer():
    """Without `without_memory_optimizer` the second segment ends with AlreadyExistsError."""
    images = tf.zeros([330_000, 784], tf.uint8)
    shift, width = tf.linspace(0.1, 0.2, 20), 20

    def batch_fn(t):
        rows = tf.cast(tf.gather(images, tf.range(8) + t * 8), tf.float32)
        return rows[:, :width] + shift

    def inner_loss(weights, coefficients, batch):
        first, second = weights
        hidden = tf.tanh(batch @ first + coefficients)
        outputs = hidden**3 + tf.sin(hidden) * hidden
        return tf.reduce_sum(outputs @ second) + tf.reduce_sum(first**3 + tf.exp(first))

    value, gradient, _ = hypergradient(
        inner_loss,
        lambda weights: tf.reduce_sum((weights[0] - 3.0) ** 2),
        [tf.zeros([width, width]), tf.zeros([width, 2])],
        tf.ones(width),
        batch_fn,
        SGD(0.01, momentum=0.9),
        6,
        segment_length=3,
    )
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
