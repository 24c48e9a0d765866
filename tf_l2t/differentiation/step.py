"""One training step of a student as a pure function, and its vector-Jacobian product."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.differentiation.moments import exact_moments
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.types import Nest, StudentState

InnerLoss = Callable[..., tuple[Any, ...]]
BatchFn = Callable[[tf.Tensor, Nest], Nest]


def floating(tensors: Nest) -> list[tf.Tensor]:
    """Returns the tensors of a nest that have a derivative, in the order of `tf.nest.flatten`."""
    return [tensor for tensor in tf.nest.flatten(tensors) if tensor.dtype.is_floating]


@dataclasses.dataclass(frozen=True)
class TrainingStep:
    """One step of a student's training, z_{t+1} = F_t(z_t, Φ), forward and in reverse.

    F_t contains the inner gradient ∂L/∂ω and the update rule. Its vector-Jacobian product is one
    outer tape around it, so that the nested tapes give the Hessian-vector product and the mixed
    product in one pass (L2T-DLF, equations (4) and (5), with the slots that these leave out).

    Attributes:
        inner_loss: (weights, variables, coefficients, batch, *loss state) -> (scalar loss, new
            variables, *new loss state).
        batch_fn: (t, context) -> batch; t is an int32 scalar and the context what the caller
            gave for the segment that t lies in. A function of these alone, so that it replays.
        update_rule: how the gradient changes the weights.
    """

    inner_loss: InnerLoss
    batch_fn: BatchFn
    update_rule: UpdateRule

    def __call__(
        self, state: StudentState, coefficients: Nest, t: tf.Tensor, context: Nest
    ) -> tuple[StudentState, tf.Tensor]:
        """Returns the state after step t and the training loss before it (a scalar)."""
        batch = self.batch_fn(t, context)
        with exact_moments(), tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.weights)
            loss, variables, *loss_state = self.inner_loss(
                state.weights, state.variables, coefficients, batch, *state.loss_state
            )
        gradients = tape.gradient(
            loss, state.weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        weights, slots = self.update_rule.apply(state.weights, gradients, state.slots, t)
        return StudentState(weights, slots, variables, tuple(loss_state)), loss

    def initial_state(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor] | None = None,
        loss_state: Sequence[Nest] = (),
    ) -> StudentState:
        """Returns the state before the first step."""
        slots = self.update_rule.init(weights)
        return StudentState(list(weights), slots, list(variables or []), tuple(loss_state))

    def saved(self, state: StudentState) -> StudentState:
        """Returns what `vjp` reads of a state: no slots where the rule is linear in them."""
        return state if self.update_rule.reads_slots else state._replace(slots=())

    def vjp(
        self,
        saved: StudentState,
        coefficients: Nest,
        t: tf.Tensor,
        context: Nest,
        adjoint: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Applies the transposed Jacobian of F_t at a stored state.

            λ_t = (∂F_t/∂z_t)ᵀ λ_{t+1}        g_t = (∂F_t/∂Φ)ᵀ λ_{t+1}

        Args:
            saved: what `saved` returned for z_t.
            coefficients: as for the step itself.
            t: the step, int32 scalar.
            context: as for the step itself.
            adjoint: λ_{t+1}, one tensor for each of `floating(z)`.

        Returns:
            λ_t like `adjoint`, and g_t, one tensor for each of `tf.nest.flatten(coefficients)`.
        """
        state = saved
        if not self.update_rule.reads_slots:
            state = saved._replace(slots=self.update_rule.init(saved.weights))
        sources = floating(state)
        inputs = tf.nest.flatten(coefficients)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            tape.watch(inputs)
            new_state, _ = self(state, coefficients, t, context)
        gradients = tape.gradient(
            floating(new_state),
            sources + inputs,
            output_gradients=adjoint,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return dense[: len(sources)], dense[len(sources) :]
