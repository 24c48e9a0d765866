"""The reverse pass: from the gradient at the last state back to the coefficients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_l2t.differentiation.graph_options import without_autograph, without_memory_optimizer
from tf_l2t.differentiation.replicas import Each, Replicas
from tf_l2t.differentiation.segments import CompiledSegments, ReplicatedSegments, Segment
from tf_l2t.differentiation.step import floating
from tf_l2t.differentiation.trajectory import Trajectory
from tf_l2t.types import Nest, StudentState

OuterLoss = Callable[..., tf.Tensor]


class ReverseResult(NamedTuple):
    """What the reverse pass returns."""

    gradients: Nest
    """dM/dΦ, with the structure of the coefficients."""
    initial_gradients: list[tf.Tensor]
    """λ at the first recorded state: the derivative by the student's weights there."""
    final_norm: tf.Tensor
    """|λ_T|, the norm of the derivative by the last weights."""
    initial_norm: tf.Tensor
    """|λ_0|, the norm of `initial_gradients`; |λ_0|/|λ_T| beyond 1e3 or so warns of chaos."""


class OuterGradient:
    """Value and gradient of an outer loss at the end of a rollout, summed over chunks.

    Args:
        outer_loss: (weights, variables, chunk, *context) -> scalar, chunk an int32 scalar; the
            loss is the sum over the chunks, and only one is differentiated at a time on each
            device.
        num_chunks: how many chunks there are.
        jit_compile: whether XLA compiles it.
        replicas: the devices that the students or, if these split batches, the chunks are
            spread over; the default device alone if None.
    """

    def __init__(
        self,
        outer_loss: OuterLoss,
        num_chunks: int = 1,
        jit_compile: bool = False,
        replicas: Replicas | None = None,
    ) -> None:
        self._outer_loss = outer_loss
        self._num_chunks = num_chunks
        self._replicas = replicas or Replicas()
        self._compiled = tf.function(functools.partial(self._sum), jit_compile=jit_compile)

    def __call__(self, state: StudentState, *context: Nest) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the value, and λ_T: one tensor for each of `floating(state)`."""
        with without_memory_optimizer():
            result = self._compiled(state.weights, state.variables, *context)
        return _of_whole_state(state, *result)

    def of_each(
        self, states: Sequence[StudentState], *contexts: Each
    ) -> list[tuple[tf.Tensor, list[tf.Tensor]]]:
        """Returns the same for as many students as `replicas` trains at once, side by side."""
        with without_memory_optimizer():
            results = self._replicas.run(
                self._compiled,
                Each(state.weights for state in states),
                Each(state.variables for state in states),
                *contexts,
            )
        return [_of_whole_state(s, *result) for s, result in zip(states, results, strict=True)]

    def _sum(
        self, weights: list[tf.Tensor], variables: list[tf.Tensor], *context: Nest
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        num_rounds = -(-self._num_chunks // self._replicas.num_parts)
        value, gradients = self._round(weights, variables, tf.constant(0), *context)
        if num_rounds > 1:

            def body(i: tf.Tensor, value: tf.Tensor, gradients: list[tf.Tensor]) -> tuple:
                more, contribution = self._round(weights, variables, i, *context)
                total = [a + b for a, b in zip(gradients, contribution, strict=True)]
                return i + 1, value + more, total

            _, value, gradients = tf.while_loop(
                lambda i, *_: i < num_rounds,
                body,
                (tf.constant(1), value, gradients),
                maximum_iterations=num_rounds - 1,
            )
        if self._replicas.num_parts > 1:
            value, *gradients = self._replicas.workers.sum([value, *gradients])
        return value, gradients

    def _round(
        self, weights: list[tf.Tensor], variables: list[tf.Tensor], i: tf.Tensor, *context: Nest
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Differentiates one chunk on each device of this process."""
        num_parts = self._replicas.num_parts
        if num_parts == 1:
            return self._chunk(weights, variables, i, *context)
        found = []
        for part, device in self._replicas.parts:
            with tf.device(device):
                chunk = i * num_parts + part
                chunk_or_last = tf.minimum(chunk, self._num_chunks - 1)
                result = self._chunk(weights, variables, chunk_or_last, *context)
                found.append(
                    [tf.where(chunk < self._num_chunks, x, 0) for x in (result[0], *result[1])]
                )
        value, *gradients = [tf.add_n(list(parts)) for parts in zip(*found, strict=True)]
        return value, gradients

    def _chunk(
        self, weights: list[tf.Tensor], variables: list[tf.Tensor], chunk: tf.Tensor, *context: Nest
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        sources = [*weights, *floating(variables)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            value = self._outer_loss(weights, variables, chunk, *context)
        gradients = tape.gradient(
            value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return value, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _of_whole_state(
    state: StudentState, value: tf.Tensor, gradients: list[tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    zeros = lambda nest: [tf.zeros_like(tensor) for tensor in floating(nest)]
    weights, variables = gradients[: len(state.weights)], gradients[len(state.weights) :]
    return value, [*weights, *zeros(state.slots), *variables, *zeros(state.loss_state)]


@without_autograph
def reverse(
    segments: CompiledSegments,
    trajectory: Trajectory,
    coefficients: Nest,
    adjoints: Sequence[list[tf.Tensor]],
    num_weights: int,
    on_segment: Callable[[int], None] | None = None,
) -> list[ReverseResult]:
    """Runs the reverse pass over a recorded rollout.

        (λ_t, g_t) = VJP of F_t at z_t, applied to λ_{t+1};    dM/dΦ = Σ_t g_t

    Args:
        segments: the compiled loops of the step that the rollout ran.
        trajectory: what the rollout recorded; it is emptied.
        coefficients: the nest of tensors to differentiate by.
        adjoints: λ_T of each student of the rollout, one tensor for each of `floating(z_T)`.
        num_weights: how many of these belong to the weights; they come first.
        on_segment: called with the number of steps after each segment.

    Returns:
        The gradients and the norms of the adjoint at both ends (L2T-DLF, equations (4), (5)), of
        each student.
    """
    final_norms = [tf.linalg.global_norm(adjoint[:num_weights]) for adjoint in adjoints]
    zeros = [tf.zeros_like(tensor) for tensor in tf.nest.flatten(coefficients)]
    replicated = isinstance(segments, ReplicatedSegments)
    adjoint: Any = tuple(adjoints) if replicated else adjoints[0]
    gradients: Any = tuple(zeros for _ in adjoints) if replicated else zeros

    def forward(segment: Segment, state: StudentState, context: Nest) -> tuple[StudentState, Any]:
        # Inside a tf.function nothing else makes this wait until the later steps are reversed,
        # and all of them at once would take the memory that recomputing is there to save.
        with tf.control_dependencies([tf.identity(x) for x in tf.nest.flatten(adjoint)]):
            state = tf.nest.map_structure(tf.identity, state)
        state, stack, _ = segments.forward(segment, state, coefficients, context, save=True)
        return state, stack

    records = trajectory.backwards(forward)

    def reverse_next() -> int:
        """Returns how many steps it reversed, 0 if there were none left.

        Its stack must go before the next is recomputed. It would not in the frame around it: where
        TensorFlow traces, what the variables of all frames hold is kept for as long as the frames.
        """
        nonlocal adjoint, gradients
        record = next(records, None)
        if record is None:
            return 0
        adjoint, gradients = segments.reverse(
            record.segment, record.stack, coefficients, record.context, adjoint, gradients
        )
        return record.segment.length

    while length := reverse_next():
        if on_segment:
            on_segment(length)
    results = zip(adjoint, gradients, strict=True) if replicated else [(adjoint, gradients)]
    return [
        ReverseResult(
            tf.nest.pack_sequence_as(coefficients, total),
            initial[:num_weights],
            final_norm,
            tf.linalg.global_norm(initial[:num_weights]),
        )
        for (initial, total), final_norm in zip(results, final_norms, strict=True)
    ]
