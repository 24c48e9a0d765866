"""Segments: runs of K consecutive steps, each one call of a compiled loop."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from tf_l2t.differentiation.graph_options import without_memory_optimizer
from tf_l2t.differentiation.replicas import Each, Replicas
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.types import Nest, StudentState


class Segment(NamedTuple):
    """The steps start, start + 1, …, start + length - 1."""

    start: int
    length: int


def cut(start: int, stop: int, length: int) -> list[Segment]:
    """Cuts the steps from start to stop into segments of `length` steps, the last one shorter."""
    return [Segment(t, min(length, stop - t)) for t in range(start, stop, length)]


def split(segment: Segment, least: int) -> list[Segment]:
    """Splits a segment into as many parts of at least `least` steps as there are, all but equal."""
    count = max(1, segment.length // least)
    bounds = [segment.start + segment.length * k // count for k in range(count + 1)]
    return [Segment(a, b - a) for a, b in itertools.pairwise(bounds)]


class CompiledSegments:
    """The forward and the reverse loop over the steps of a segment, traced once.

    Args:
        step: the training step.
        jit_compile: whether XLA compiles the loops. Slower on CPU; one trace for each length.
    """

    def __init__(self, step: TrainingStep, jit_compile: bool = False) -> None:
        self.step = step
        self._jit_compile = jit_compile
        # Partials, not methods: TensorFlow counts traces by function, and each step has its own.
        self._run_forward = tf.function(
            functools.partial(_forward_loop, step), jit_compile=jit_compile
        )
        self._run_reverse = tf.function(
            functools.partial(_reverse_loop, step), jit_compile=jit_compile
        )

    def forward(
        self,
        segment: Segment,
        state: Any,
        coefficients: Nest,
        context: Nest,
        save: bool,
        loss_sum: Any = None,
    ) -> tuple[Any, Any, Any]:
        """Runs the steps of a segment.

        Args:
            segment: the steps.
            state: before the first of them.
            coefficients: the nest of tensors that the inner loss depends on.
            context: what `batch_fn` gets.
            save: whether to return the stack.
            loss_sum: of the steps before; None for zero.

        Returns:
            The state after the segment; the stack of what the reverse loop reads of each state,
            [length, ...] a tensor, or None unless `save`; `loss_sum` with the training losses of
            the segment's steps added.
        """
        start, length = self._bounds(segment)
        state, stack, loss_sum = self._call(
            self._run_forward,
            start,
            length,
            self._each(state),
            coefficients,
            self._each(context),
            save,
            self._each(self._no_losses(state) if loss_sum is None else loss_sum),
        )
        return state, (stack if save else None), loss_sum

    def reverse(
        self,
        segment: Segment,
        stack: Any,
        coefficients: Nest,
        context: Nest,
        adjoint: Any,
        gradients: Any,
    ) -> tuple[Any, Any]:
        """Runs the vector-Jacobian products of a segment from its last step to its first.

        Returns:
            The adjoint at the segment's first state, and `gradients` with the segment's added.
        """
        start, length = self._bounds(segment)
        adjoint, gradients = self._call(
            self._run_reverse,
            start,
            length,
            self._each(stack),
            coefficients,
            self._each(context),
            self._each(adjoint),
            self._each(gradients),
        )
        return adjoint, gradients

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Sequence[Any]:
        with without_memory_optimizer():
            return function(*arguments)

    def _each(self, own: Any) -> Any:
        """Returns what belongs to a student as `_call` takes it."""
        return own

    def _no_losses(self, state: Any) -> Any:
        return tf.constant(0.0)

    def _bounds(self, segment: Segment) -> tuple[tf.Tensor, tf.Tensor | int]:
        # XLA wants the length of a loop at compile time; elsewhere a tensor saves a trace.
        static = self._jit_compile or not tf.executing_eagerly()
        length = segment.length if static else tf.constant(segment.length)
        return tf.constant(segment.start), length


class ReplicatedSegments(CompiledSegments):
    """The same loops for several students, each on its own device: states and all that belongs
    to a student come as tuples, one item for each student.

    Args:
        step: the training step.
        replicas: the devices.
        jit_compile: whether XLA compiles the loops.
    """

    def __init__(self, step: TrainingStep, replicas: Replicas, jit_compile: bool = False) -> None:
        super().__init__(step, jit_compile)
        self._replicas = replicas

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Sequence[Any]:
        with without_memory_optimizer():
            results = self._replicas.run(function, *arguments)
        return list(zip(*results, strict=True))

    def _each(self, own: Any) -> Any:
        return Each(own)

    def _no_losses(self, state: Any) -> Any:
        return [tf.constant(0.0) for _ in state]


def _forward_loop(
    step: TrainingStep,
    start: tf.Tensor,
    length: tf.Tensor | int,
    state: StudentState,
    coefficients: Nest,
    context: Nest,
    save: bool,
    loss_sum: tf.Tensor,
) -> tuple[StudentState, Nest, tf.Tensor]:
    saved = tf.nest.flatten(step.saved(state)) if save else []
    arrays = [
        tf.TensorArray(tensor.dtype, size=length, element_shape=tensor.shape) for tensor in saved
    ]

    def body(i: tf.Tensor, flat_state: list[tf.Tensor], loss_sum: tf.Tensor, arrays: list) -> tuple:
        now = tf.nest.pack_sequence_as(state, flat_state)
        if save:
            saved = tf.nest.flatten(step.saved(now))
            arrays = [array.write(i, tensor) for array, tensor in zip(arrays, saved, strict=True)]
        after, loss = step(now, coefficients, start + i, context)
        return i + 1, tf.nest.flatten(after), loss_sum + tf.cast(loss, tf.float32), arrays

    _, flat_state, loss_sum, arrays = tf.while_loop(
        lambda i, *_: i < length,
        body,
        (tf.constant(0), tf.nest.flatten(state), loss_sum, arrays),
        maximum_iterations=length,
    )
    after = tf.nest.pack_sequence_as(state, flat_state)
    stack = (
        tf.nest.pack_sequence_as(step.saved(state), [array.stack() for array in arrays])
        if save
        else ()
    )
    return after, stack, loss_sum


def _reverse_loop(
    step: TrainingStep,
    start: tf.Tensor,
    length: tf.Tensor | int,
    stack: StudentState,
    coefficients: Nest,
    context: Nest,
    adjoint: list[tf.Tensor],
    gradients: list[tf.Tensor],
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    def body(i: tf.Tensor, adjoint: list[tf.Tensor], gradients: list[tf.Tensor]) -> tuple:
        saved = tf.nest.map_structure(lambda tensor: tensor[i], stack)
        adjoint, contribution = step.vjp(saved, coefficients, start + i, context, adjoint)
        gradients = [total + g for total, g in zip(gradients, contribution, strict=True)]
        _refuse_max_pooling_under_xla(tf.compat.v1.get_default_graph())
        return i - 1, adjoint, gradients

    _, adjoint, gradients = tf.while_loop(
        lambda i, *_: i >= 0,
        body,
        (tf.convert_to_tensor(length) - 1, adjoint, gradients),
        maximum_iterations=length,
    )
    return adjoint, gradients


def _refuse_max_pooling_under_xla(graph: tf.Graph) -> None:
    # XLA rounds to bfloat16 in this derivative, and so returns up to a fifth of it wrong.
    if not control_flow_util.GraphOrParentsInXlaContext(graph):
        return
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    wrong = [node.name for node in nodes if node.op.startswith("MaxPoolGradGrad")]
    if wrong:
        raise ValueError(
            f"jit_compile=True gives a wrong second derivative of max pooling (op {wrong[0]!r}); "
            "use tf_l2t.students.BlockMaxPooling2D in the student, or jit_compile=False."
        )
