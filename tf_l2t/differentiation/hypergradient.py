"""Rollout and reverse pass together: the engine, and the function that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.differentiation.graph_options import without_autograph
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.differentiation.reverse import OuterGradient, ReverseResult, reverse
from tf_l2t.differentiation.segments import CompiledSegments, ReplicatedSegments, Segment, cut
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.differentiation.trajectory import (
    Trajectory,
    check_storage,
    default_segment_length,
    new_trajectory,
)
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.types import Nest, StudentState

ContextFn = Callable[[Segment, StudentState], Nest]
OnSegment = Callable[[Segment, StudentState, Nest, tf.Tensor], None]


class RolloutResult(NamedTuple):
    """A student after its training, and what the reverse pass needs."""

    state: Any
    """A `StudentState`; a tuple of them where the engine trains several students at once."""
    trajectory: Trajectory


class Engine:
    """Rolls a student out and differentiates through its training.

    Args:
        step: the training step F_t.
        storage: where the states wait for the reverse pass: "memory"; "host" (of an accelerator);
            "disk"; "recompute" (√T states, one more forward pass).
        segment_length: steps of a segment, √T (at least 50 unless "recompute") if None.
        truncate: reverse through the last so many steps only; through all if None.
        jit_compile: whether XLA compiles the loops. It is slower on CPU.
        replicas: devices that train a student each, side by side. Where there are several,
            states, contexts and losses are tuples, one item for each of them.

    Raises:
        ValueError: for an unknown policy or a length below 1.
    """

    def __init__(
        self,
        step: TrainingStep,
        *,
        storage: str = "memory",
        segment_length: int | None = None,
        truncate: int | None = None,
        jit_compile: bool = False,
        replicas: Replicas | None = None,
    ) -> None:
        check_storage(storage)
        for name, value in (("segment_length", segment_length), ("truncate", truncate)):
            if value is not None:
                whole_number("Engine", name, value, 1, "None is the default")
        self.step = step
        self.replicated = replicas is not None and replicas.students_at_once > 1
        self.segments = (
            ReplicatedSegments(step, replicas, jit_compile)
            if replicas is not None and self.replicated
            else CompiledSegments(step, jit_compile)
        )
        self._storage = storage
        self._segment_length = segment_length
        self._truncate = truncate

    def recorded_steps(self, num_steps: int, start: int = 0) -> int:
        """Returns how many of the steps from `start` to `num_steps` are recorded, and reversed."""
        steps = num_steps - start
        return steps if self._truncate is None else min(steps, self._truncate)

    def roll_out(
        self,
        state: StudentState,
        coefficients: Nest,
        num_steps: int,
        *,
        start: int = 0,
        context_fn: ContextFn | None = None,
        record: bool = True,
        on_segment: OnSegment | None = None,
    ) -> RolloutResult:
        """Trains a student from step `start` up to, not including, step `num_steps`.

        Args:
            state: the student before step `start`.
            coefficients: the nest of tensors that the inner loss depends on.
            num_steps: T.
            start: the first step.
            context_fn: (segment, state before it) -> what `batch_fn` gets for the segment's
                steps. It is constant to the differentiation.
            record: whether to keep what the reverse pass needs.
            on_segment: called after each segment with it, the state before it, its context and
                its mean training loss.

        Raises:
            ValueError: if there is no step to take.
        """
        if num_steps - start < 1:
            raise ValueError(
                f"num_steps must be greater than the first step, got num_steps={num_steps} and "
                f"start={start}; train for at least one step."
            )
        recorded = self.recorded_steps(num_steps, start)
        length = self._segment_length or default_segment_length(self._storage, recorded)
        trajectory = new_trajectory(self._storage, recorded)
        # Segments begin anew where the reverse pass will end, if there is to be one.
        first_recorded = num_steps - recorded if record else num_steps
        segments = cut(start, first_recorded, length) + cut(first_recorded, num_steps, length)
        with trajectory.closed_on_error():
            for segment in segments:
                context = context_fn(segment, state) if context_fn else ()
                keep = segment.start >= first_recorded
                save = keep and trajectory.keeps_stacks
                before, loss_sum = state, None
                for part in trajectory.parts(segment) if keep else [segment]:
                    before_part = state
                    state, stack, loss_sum = self.segments.forward(
                        part, before_part, coefficients, context, save, loss_sum
                    )
                    if keep:
                        trajectory.record(part, context, before_part, stack)
                if on_segment:
                    on_segment(segment, before, context, _mean(loss_sum, segment.length))
        return RolloutResult(state, trajectory)

    def reverse(
        self,
        rollout: RolloutResult,
        coefficients: Nest,
        adjoint: list[tf.Tensor],
        on_segment: Callable[[int], None] | None = None,
    ) -> ReverseResult:
        """Runs the reverse pass over a recorded rollout and empties it; see `reverse.reverse`.

        Raises:
            ValueError: if it was not recorded, or is empty already.
        """
        return self.reverse_each(rollout, coefficients, [adjoint], on_segment)[0]

    def reverse_each(
        self,
        rollout: RolloutResult,
        coefficients: Nest,
        adjoints: Sequence[list[tf.Tensor]],
        on_segment: Callable[[int], None] | None = None,
    ) -> list[ReverseResult]:
        """Runs the same for all students of a rollout, side by side."""
        if rollout.trajectory.empty:
            raise ValueError(
                "Engine: rollout holds no step to reverse: it was made with record=False, or was "
                "reversed before, which empties it; roll the student out again."
            )
        states = rollout.state if self.replicated else [rollout.state]
        try:
            return reverse(
                self.segments,
                rollout.trajectory,
                coefficients,
                adjoints,
                len(states[0].weights),
                on_segment,
            )
        finally:
            rollout.trajectory.close()


@without_autograph
def hypergradient(
    inner_loss: Callable[[list[tf.Tensor], Nest, Nest], tf.Tensor],
    outer_loss: Callable[..., tf.Tensor],
    weights: list[tf.Tensor],
    coefficients: Nest,
    batch_fn: Callable[[tf.Tensor], Nest],
    update_rule: UpdateRule,
    num_steps: int,
    storage: str = "memory",
    segment_length: int | None = None,
    truncate: int | None = None,
    jit_compile: bool = False,
    outer_chunks: int = 1,
) -> tuple[tf.Tensor, Nest, list[tf.Tensor]]:
    """Differentiates an outer loss after training by the coefficients of the training loss.

        ω_{t+1} = update(ω_t, ∂ inner_loss(ω_t, Φ, batch_t)/∂ω_t)
        returns M = outer_loss(ω_T), dM/dΦ, dM/dω_0

    Exact reverse-mode differentiation through all steps, with T stored sets of weights instead
    of T stored graphs. Outside a `tf.function` for every storage policy, inside one for "memory"
    and "recompute".

    Args:
        inner_loss: (weights, coefficients, batch) -> scalar.
        outer_loss: (weights) -> scalar; with `outer_chunks` > 1 (weights, chunk) -> scalar, where
            chunk is an int32 scalar and the outer loss the sum over the chunks.
        weights: list of floating-point tensors, the student's weights at t = 0.
        coefficients: nest of floating-point tensors that the inner loss depends on.
        batch_fn: t (int32 scalar tensor) -> batch, a function of t alone.
        update_rule: for example `tf_l2t.SGD(learning_rate=0.1, momentum=0.9)`.
        num_steps: T.
        storage: "memory", "host", "disk" or "recompute".
        segment_length: steps of one compiled loop; √T, at least 50 unless "recompute", if None.
        truncate: reverse through the last so many steps only; through all if None.
        jit_compile: whether XLA compiles the loops.
        outer_chunks: number of chunks that the outer loss is differentiated in.

    Returns:
        value: the outer loss at the last weights, a scalar.
        gradients: its derivative by the coefficients, in their structure.
        initial_gradients: its derivative by the weights at t = 0, or, where truncated, at the
            first step that the reverse pass reached; a list like `weights`.

    Raises:
        ValueError: for a bad argument, before any step is run.

    Example:
        >>> target = tf.constant([1.0, 2.0])
        >>> value, gradients, _ = tf_l2t.hypergradient(
        ...     inner_loss=lambda w, c, batch: tf.reduce_sum(c * (w[0] - target) ** 2),
        ...     outer_loss=lambda w: tf.reduce_sum((w[0] - 3.0) ** 2),
        ...     weights=[tf.zeros(2)], coefficients=tf.ones(2), batch_fn=lambda t: (),
        ...     update_rule=tf_l2t.SGD(learning_rate=0.1), num_steps=10)

    Wu et al., *Learning to Teach with Dynamic Loss Functions*, NeurIPS 2018, equations (4), (5);
    Domke 2012; Maclaurin et al. 2015; Franceschi et al. 2017.
    """
    weights = _tensors("weights", list(weights))
    coefficients = _tensors("coefficients", coefficients)
    num_steps = whole_number("hypergradient", "num_steps", num_steps, 1)
    outer_chunks = whole_number("hypergradient", "outer_chunks", outer_chunks, 1)
    if not isinstance(update_rule, UpdateRule):
        raise ValueError(
            f"hypergradient: update_rule must be an update rule of tf_l2t, such as tf_l2t.SGD, got "
            f"{update_rule!r}; tf_l2t.update_rule_from_keras makes one of a Keras optimizer."
        )
    step = TrainingStep(
        inner_loss=lambda weights, variables, coefficients, batch: (
            _scalar("inner_loss", inner_loss(weights, coefficients, batch)),
            variables,
        ),
        batch_fn=lambda t, context: batch_fn(t),
        update_rule=update_rule,
    )

    def of_chunk(weights: list[tf.Tensor], variables: Nest, chunk: tf.Tensor) -> tf.Tensor:
        value = outer_loss(weights) if outer_chunks == 1 else outer_loss(weights, chunk)
        return _scalar("outer_loss", value)

    # Traced before any step, so that what is wrong with it costs none.
    tf.function(of_chunk).get_concrete_function(weights, [], tf.constant(0))
    outer = OuterGradient(of_chunk, outer_chunks, jit_compile)
    engine = Engine(
        step,
        storage=storage,
        segment_length=segment_length,
        truncate=truncate,
        jit_compile=jit_compile,
    )
    rollout = engine.roll_out(step.initial_state(weights), coefficients, num_steps)
    with rollout.trajectory.closed_on_error():
        value, adjoint = outer(rollout.state)
    result = engine.reverse(rollout, coefficients, adjoint)
    return value, result.gradients, result.initial_gradients


def _mean(sums: Nest, count: int) -> Nest:
    return tf.nest.map_structure(lambda each: each / count, sums)


def _scalar(name: str, value: tf.Tensor) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if value.shape.rank:
        raise ValueError(
            f"{name} must return a scalar, got the shape {value.shape}; take tf.reduce_mean of it."
        )
    return value


def _tensors(name: str, nest: Nest) -> Nest:
    tensors = tf.nest.map_structure(tf.convert_to_tensor, nest)
    for tensor in tf.nest.flatten(tensors):
        if not tensor.dtype.is_floating:
            raise ValueError(
                f"{name} must hold floating-point tensors, got one of dtype {tensor.dtype.name}; "
                "cast it, or keep it out of the nest and let the loss close over it."
            )
    if not tf.nest.flatten(tensors):
        raise ValueError(f"{name} is empty; there is nothing to differentiate by.")
    return tensors
