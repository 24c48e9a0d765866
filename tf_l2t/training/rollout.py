"""Teaching one student: a task, a loss and whoever sets its coefficients, as a training step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.differentiation.hypergradient import Engine, RolloutResult
from tf_l2t.differentiation.segments import Segment
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import CrossEntropy
from tf_l2t.tasks.task import Task
from tf_l2t.teachers.attention import attention_weights
from tf_l2t.teachers.state_features import state_vector
from tf_l2t.types import Batch, Nest, StudentState


class TaughtBatch(NamedTuple):
    """What the training step reads at step t."""

    t: tf.Tensor
    examples: Batch
    state_vector: tf.Tensor
    """s_t, [|s|]; empty where there is no teacher."""
    dropout_seed: tf.Tensor
    """int32 [2]."""


class Lesson(NamedTuple):
    """One student after its training, and what was seen on the way."""

    rollout: RolloutResult
    steps: list[int]
    """First step of each segment."""
    training_loss: list[float]
    """Mean of each segment."""
    state_vectors: list[tf.Tensor]
    """s_t at the first step of each segment; empty where there is no teacher."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long every student trains, whatever its loss.

    Attributes:
        num_steps: T.
        warm_start_steps: the first so many of them are with cross entropy and without a teacher,
            the same for every loss; what follows starts with fresh slots of the update rule.
        warm_start_learning_rate: peak learning rate of these steps.
        observe_every: steps between two measurements of the state vector. It is also the length
            of a segment, the least that `storage="recompute"` holds at a time.

    Raises:
        ValueError: for a value that leaves no step to teach.
    """

    num_steps: int
    warm_start_steps: int = 0
    warm_start_learning_rate: float = 0.05
    observe_every: int = 50

    def __post_init__(self) -> None:
        whole_number("Budget", "num_steps", self.num_steps, 1)
        whole_number("Budget", "observe_every", self.observe_every, 1)
        whole_number("Budget", "warm_start_steps", self.warm_start_steps, 0)
        if self.warm_start_steps >= self.num_steps:
            raise ValueError(
                f"Budget: warm_start_steps must be below num_steps={self.num_steps}, got "
                f"{self.warm_start_steps}; leave steps to teach."
            )
        if self.warm_start_learning_rate <= 0:
            raise ValueError(
                "Budget: warm_start_learning_rate must be positive, got "
                f"{self.warm_start_learning_rate}."
            )


class Teaching:
    """Trains students of a task with one loss, fixed or set by a teacher.

    Args:
        task: the problem.
        loss: what the student minimises.
        update_rule: how its gradient changes the weights.
        budget: for how long.
        teacher: sets the coefficients of a taught loss; None for a fixed loss.
        warm_start_rule: like `update_rule`, for the steps of the warm start.
        storage, truncate, jit_compile: see `Engine`.
    """

    def __init__(
        self,
        task: Task,
        loss: Loss,
        update_rule: UpdateRule,
        budget: Budget,
        teacher: keras.Model | None = None,
        *,
        warm_start_rule: UpdateRule | None = None,
        storage: str = "memory",
        truncate: int | None = None,
        jit_compile: bool = False,
    ) -> None:
        if jit_compile:
            task.check_jit_compile()
        self.task = task
        self.budget = budget
        self.teacher = teacher
        self._loss = loss
        self.engine = Engine(
            TrainingStep(self._inner_loss, self._batch, update_rule),
            storage=storage,
            segment_length=budget.observe_every,
            truncate=truncate,
            jit_compile=jit_compile,
        )
        self._warm_start = None
        if budget.warm_start_steps:
            assert warm_start_rule is not None
            self._warm_start = Teaching(
                task,
                CrossEntropy(),
                warm_start_rule,
                dataclasses.replace(budget, warm_start_steps=0),
                jit_compile=jit_compile,
            )

    def roll_out(
        self,
        theta: list[tf.Tensor],
        seed: int,
        *,
        record: bool = False,
        on_steps: Callable[[int], None] | None = None,
        on_segment: Callable[[Segment, StudentState], None] | None = None,
    ) -> Lesson:
        """Trains the student of a seed from its first step to its last.

        Args:
            theta: the teacher's parameters; [] without a teacher.
            seed: of initial weights, order of batches and dropout.
            record: whether to keep what the reverse pass needs.
            on_steps: called with the number of steps after each segment.
            on_segment: called with a segment and the state before it.
        """
        state, start = self._start(seed, on_steps)
        lesson = Lesson(RolloutResult(state, None), [], [], [])  # type: ignore[arg-type]

        def after_segment(
            segment: Segment, before: StudentState, context: Nest, loss: tf.Tensor
        ) -> None:
            lesson.steps.append(segment.start)
            lesson.training_loss.append(float(loss))
            if self.teacher is not None:
                lesson.state_vectors.append(self._state_vector(segment.start, context["observed"]))
            if on_segment:
                on_segment(segment, before)
            if on_steps:
                on_steps(segment.length)

        rollout = self.engine.roll_out(
            state,
            theta,
            self.budget.num_steps,
            start=start,
            context_fn=lambda segment, state: self._context(segment, state, seed),
            record=record,
            on_segment=after_segment,
        )
        return lesson._replace(rollout=rollout)

    def coefficients(self, theta: list[tf.Tensor], state_vector: tf.Tensor) -> Nest:
        """Returns what the teacher with parameters θ sets at a state vector, [|s|]."""
        assert self.teacher is not None
        fixed = [tf.convert_to_tensor(v) for v in self.teacher.non_trainable_variables]
        outputs, _ = self.teacher.stateless_call(theta, fixed, state_vector[None])
        return tf.nest.map_structure(lambda tensor: tensor[0], outputs)

    def explain(self, theta: list[tf.Tensor], state_vector: tf.Tensor) -> dict[str, np.ndarray]:
        """Returns the coefficients at a state vector and, of a teacher with it, its attention."""
        assert self.teacher is not None
        told = {k: v.numpy() for k, v in self.coefficients(theta, state_vector).items()}
        weights = attention_weights(self.teacher, theta, state_vector[None])
        return told if weights is None else {"attention": weights[0].numpy(), **told}

    def check(self, theta: list[tf.Tensor]) -> None:
        """Runs the loss on one batch, so that parts that do not fit fail before any work."""
        state = self.engine.step.initial_state(*self.task.initial(seed=0))
        context = self._context(Segment(0, 1), state, seed=0)
        batch = self._batch(tf.constant(0), context)
        self._inner_loss(state.weights, state.variables, theta, batch)

    def _start(self, seed: int, on_steps: Callable[[int], None] | None) -> tuple[StudentState, int]:
        state = self.engine.step.initial_state(*self.task.initial(seed))
        if self._warm_start is None:
            return state, 0
        warm = self._warm_start
        steps = self.budget.warm_start_steps
        rollout = warm.engine.roll_out(
            warm.engine.step.initial_state(state.weights, state.variables),
            [],
            steps,
            context_fn=lambda segment, state: warm._context(segment, state, seed),
            record=False,
            on_segment=lambda segment, *_: on_steps(segment.length) if on_steps else None,
        )
        return state._replace(
            weights=rollout.state.weights, variables=rollout.state.variables
        ), steps

    def _context(self, segment: Segment, state: StudentState, seed: int) -> Nest:
        context = {"task": self.task.context(segment, seed), "seed": tf.constant(seed, tf.int32)}
        if self.teacher is not None:
            context["observed"] = self.task.observe(state)
        return context

    def _batch(self, t: tf.Tensor, context: Nest) -> TaughtBatch:
        return TaughtBatch(
            t,
            self.task.batch(t, context["task"]),
            self._state_vector(t, context["observed"]) if self.teacher is not None else t,
            tf.stack([context["seed"], t]),
        )

    def _state_vector(self, t: tf.Tensor | int, observed: tf.Tensor) -> tf.Tensor:
        return state_vector(tf.cast(t, tf.float32) / self.budget.num_steps, observed)

    def _inner_loss(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        theta: list[tf.Tensor],
        batch: TaughtBatch,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        if self.teacher is None:
            coefficients = self._loss.schedule(batch.t)
        else:
            coefficients = self.coefficients(theta, batch.state_vector)
        outputs, variables, penalty = self.task.forward(
            weights, variables, batch.examples, training=True, seed=batch.dropout_seed
        )
        losses = self._loss(outputs, batch.examples.targets, coefficients)
        return tf.reduce_mean(losses) + penalty, variables
