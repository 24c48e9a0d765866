"""Teaching one student: a task, a loss and whoever sets its coefficients, as a training step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.differentiation.hypergradient import Engine, RolloutResult
from tf_l2t.differentiation.replicas import Each, Replicas
from tf_l2t.differentiation.reverse import OuterGradient, ReverseResult
from tf_l2t.differentiation.segments import Segment
from tf_l2t.differentiation.step import TrainingStep, floating
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.losses.base import Loss
from tf_l2t.tasks.task import Task
from tf_l2t.teachers.attention import attention_weights
from tf_l2t.teachers.state_features import state_vector
from tf_l2t.training.budget import Budget
from tf_l2t.training.lesson import Lesson, TaughtBatch
from tf_l2t.training.splitting import check_splitting
from tf_l2t.training.warm_start import Warmed, WarmStart
from tf_l2t.types import Nest, StudentState


class Teaching:
    """Trains students of a task with one loss, fixed or set by a teacher.

    Args:
        task: the problem.
        loss: what the student minimises.
        update_rule: how its gradient changes the weights.
        budget: for how long.
        teacher: sets the coefficients of a taught loss; None for a fixed loss.
        warm_start: trains students for the first `budget.warm_start_steps` steps.
        replicas: the devices to spread students, or the batches of a student, over.
        storage, truncate, jit_compile: see `Engine`.

    Raises:
        ValueError: if batches are to be split that cannot be.
    """

    def __init__(
        self,
        task: Task,
        loss: Loss,
        update_rule: UpdateRule,
        budget: Budget,
        teacher: keras.Model | None = None,
        *,
        warm_start: WarmStart | None = None,
        replicas: Replicas | None = None,
        storage: str = "memory",
        truncate: int | None = None,
        jit_compile: bool = False,
    ) -> None:
        if jit_compile:
            task.check_jit_compile()
        self.replicas = replicas or Replicas()
        task = task.for_loss(loss)
        check_splitting(task, loss, self.replicas.num_parts, jit_compile)
        self.task = task
        self.budget = budget
        self.teacher = teacher
        self._loss = loss
        self.engine = Engine(
            TrainingStep(
                self._inner_loss, self._batch, update_rule.starting_at(budget.warm_start_steps)
            ),
            storage=storage,
            segment_length=budget.observe_every,
            truncate=truncate,
            jit_compile=jit_compile,
            replicas=self.replicas,
        )
        if budget.warm_start_steps != (warm_start.num_steps if warm_start else 0):
            raise ValueError(
                f"Teaching: warm_start must be of the {budget.warm_start_steps} steps that the "
                f"budget has for it, got {warm_start.num_steps if warm_start else None}."
            )
        self._warm_start = warm_start

    def recorded_steps(self, num_steps: int) -> int:
        """Returns how many of the steps of a student of T = `num_steps` are reversed."""
        return self.engine.recorded_steps(num_steps, self.budget.warm_start_steps)

    def roll_out(
        self,
        theta: list[tf.Tensor],
        seed: int,
        *,
        record: bool = False,
        on_steps: Callable[[int], None] | None = None,
        on_segment: Callable[[Segment, Any], None] | None = None,
    ) -> Lesson:
        """Trains the student of a seed from its first step to its last.

        Args:
            theta: the teacher's parameters; [] without a teacher.
            seed: of initial weights, order of batches and dropout.
            record: whether to keep what the reverse pass needs.
            on_steps: called with the number of steps after each segment.
            on_segment: called with a segment and the state before it.
        """
        return self.roll_out_each(
            theta, [seed], record=record, on_steps=on_steps, on_segment=on_segment
        )[0]

    def roll_out_each(
        self,
        theta: list[tf.Tensor],
        seeds: Sequence[int],
        *,
        record: bool = False,
        on_steps: Callable[[int], None] | None = None,
        on_segment: Callable[[Segment, Any], None] | None = None,
    ) -> list[Lesson]:
        """Trains the students of some seeds side by side, at most `replicas.students_at_once`.

        Args are those of `roll_out`. Devices that have no student of their own repeat the first,
        whose steps are not counted twice.
        """
        count = len(seeds)
        seeds = self._padded(seeds)
        warmed = self._begin(seeds[:count], on_steps)
        state = self._pack(self._padded([student.state for student in warmed]))
        lessons = [
            Lesson(None, [], [], [], seed, student.kept_seconds)  # type: ignore[arg-type]
            for seed, student in zip(seeds, self._padded(warmed), strict=True)
        ]

        def after_segment(segment: Segment, before: Any, context: Nest, loss: Nest) -> None:
            for lesson, seen, value in zip(
                lessons, self._unpack(context), self._unpack(loss), strict=True
            ):
                lesson.steps.append(segment.start)
                lesson.training_loss.append(self._mean_loss(value))
                if self.teacher is not None:
                    vector = self._state_vector(segment.start, seen["observed"])
                    lesson.state_vectors.append(vector)
            if on_segment:
                on_segment(segment, before)
            if on_steps:
                on_steps(count * segment.length)

        rollout = self.engine.roll_out(
            state,
            theta,
            self.budget.num_steps,
            start=self.budget.warm_start_steps,
            context_fn=lambda segment, state: self._contexts(segment, state, seeds),
            record=record,
            on_segment=after_segment,
        )
        states = self._unpack(rollout.state)
        return [
            lesson._replace(rollout=RolloutResult(state, rollout.trajectory))
            for lesson, state in zip(lessons, states, strict=True)
        ][:count]

    def shortened(self, num_steps: int) -> Teaching:
        """Returns what takes the first so many steps only, without a warm start."""
        other = copy.copy(self)
        other.budget = Budget(num_steps, observe_every=self.budget.observe_every)
        other._warm_start = None
        return other

    def differentiate_each(
        self, lessons: Sequence[Lesson], outer: OuterGradient
    ) -> list[tuple[tf.Tensor, list[tf.Tensor]]]:
        """Returns outer loss and adjoint at the end of students that were rolled out together."""
        states = [lesson.rollout.state for lesson in lessons]
        with lessons[0].rollout.trajectory.closed_on_error():
            own_splits = self._own_splits([lesson.seed for lesson in lessons])
            return outer.of_each(self._padded(states), *own_splits)[: len(lessons)]

    def reverse_each(
        self,
        lessons: Sequence[Lesson],
        theta: list[tf.Tensor],
        adjoints: Sequence[list[tf.Tensor]],
        on_steps: Callable[[int], None] | None = None,
    ) -> list[ReverseResult]:
        """Runs the reverse pass of students that were rolled out together and recorded.

        Args:
            lessons: of the students.
            theta: the teacher's parameters, as in the rollout.
            adjoints: of each student, what `differentiate_each` returned.
            on_steps: called with numbers of student steps reversed.
        """
        count = len(lessons)
        states = self._padded([lesson.rollout.state for lesson in lessons])
        return self.engine.reverse_each(
            RolloutResult(self._pack(states), lessons[0].rollout.trajectory),
            theta,
            self._padded(adjoints),
            on_segment=lambda steps: on_steps(count * steps) if on_steps else None,
        )[:count]

    def observe_each(self, state: Any, seeds: Sequence[int]) -> list[tf.Tensor]:
        """Returns what is observed of the students of a state, as `on_segment` is given it."""
        return self._run_each(self.task.compiled_observe, self._unpack(state), seeds)

    def evaluate_each(self, lessons: Sequence[Lesson], split: str) -> list[dict[str, float]]:
        """Returns the scores on a split of students that were rolled out together."""
        states = [lesson.rollout.state for lesson in lessons]
        seeds = [lesson.seed for lesson in lessons]
        if not self.task.scores_in_graph:
            return [self.task.evaluate(state, split) for state in states]
        found = self._run_each(self.task.compiled_scores[split], states, seeds)
        return [{name: float(value) for name, value in scores.items()} for scores in found]

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
        state = self.first_state(0)
        batch = self.batch_at(0, 0, state)
        self._local_loss(state.weights, state.variables, theta, batch, *state.loss_state)

    def first_state(self, seed: int) -> StudentState:
        """Returns the student of a seed before its first step, be that one of a warm start."""
        return self._initial_state(seed, *self.task.initial(seed))

    def batch_at(self, t: int, seed: int, state: StudentState) -> TaughtBatch:
        """Returns what the student of a seed is given at step t, were it then in this state."""
        context = self._context(Segment(t, 1), seed, state)
        if self.teacher is not None:
            context["observed"] = self.task.compiled_observe(
                state.weights, state.variables, *self.task.own_split(seed)
            )
        return self._batch(tf.constant(t), context)

    def _begin(self, seeds: Sequence[int], on_steps: Callable[[int], None] | None) -> list[Warmed]:
        """Returns the students of some seeds before the first step with this loss."""
        if self._warm_start is None:
            return [Warmed(self.first_state(seed), 0.0) for seed in seeds]
        warmed = self._warm_start(seeds, on_steps)
        return [
            student._replace(
                state=self._initial_state(seed, student.state.weights, student.state.variables)
            )
            for seed, student in zip(seeds, warmed, strict=True)
        ]

    def _initial_state(
        self, seed: int, weights: list[tf.Tensor], variables: list[tf.Tensor]
    ) -> StudentState:
        own = self._loss.initial_state(len(self.task.class_names), seed)
        return self.engine.step.initial_state(weights, variables, own)

    def _pack(self, items: Sequence[Any]) -> Any:
        """Returns the items of all students as the engine takes them."""
        return tuple(items) if self.engine.replicated else items[0]

    def _unpack(self, items: Any) -> Sequence[Any]:
        return items if self.engine.replicated else [items]

    def _padded(self, items: Sequence[Any]) -> list[Any]:
        """Repeats the first item for the devices that have no student of their own."""
        return [*items, *[items[0]] * (self.replicas.students_at_once - len(items))]

    def _own_splits(self, seeds: Sequence[int]) -> list[Each]:
        """Returns what tells of the students' own splits, as an argument for each of them."""
        own = [self.task.own_split(seed) for seed in self._padded(seeds)]
        return [Each(arguments) for arguments in zip(*own, strict=True)]

    def _run_each(
        self, function: Callable, states: Sequence[StudentState], seeds: Sequence[int]
    ) -> list[Any]:
        """Calls a function of weights, variables and own split for each student, side by side."""
        padded = self._padded(states)
        return self.replicas.run(
            function,
            Each(state.weights for state in padded),
            Each(state.variables for state in padded),
            *self._own_splits(seeds),
        )[: len(states)]

    def _contexts(self, segment: Segment, state: Any, seeds: Sequence[int]) -> Nest:
        states = self._unpack(state)
        contexts = [
            self._context(segment, seed, state) for seed, state in zip(seeds, states, strict=True)
        ]
        if self.teacher is not None:
            observed = self.observe_each(state, seeds)
            contexts = [
                {**context, "observed": seen}
                for context, seen in zip(contexts, observed, strict=True)
            ]
        return self._pack(contexts)

    def _context(self, segment: Segment, seed: int, state: StudentState) -> dict[str, Nest]:
        context = self.task.context_of_student(self.task.context(segment, seed), state)
        return {"task": context, "seed": tf.constant(seed, tf.int32)}

    def _batch(self, t: tf.Tensor, context: Nest) -> TaughtBatch:
        num_parts = self.replicas.num_parts
        return TaughtBatch(
            t,
            [
                self.task.batch(t, context["task"], part, num_parts)
                for part, _ in self.replicas.parts
            ],
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
        *loss_state: Nest,
    ) -> tuple[Any, ...]:
        """Returns the mean loss of the batch, whose derivatives are those of the whole batch.

        With several workers the value is this worker's part of it.
        """
        if self.replicas.num_parts == 1:
            return self._local_loss(weights, variables, theta, batch, *loss_state)
        workers = self.replicas.workers
        copied = workers.copy_in([*weights, *theta, *floating(variables)])
        weights, rest = copied[: len(weights)], copied[len(weights) :]
        theta, floats = rest[: len(theta)], iter(rest[len(theta) :])
        variables = [next(floats) if v.dtype.is_floating else v for v in variables]
        loss, variables = self._local_loss(weights, variables, theta, batch)
        floats = iter(workers.sum_out(floating(variables)))
        return loss, [next(floats) if v.dtype.is_floating else v for v in variables]

    def _local_loss(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        theta: list[tf.Tensor],
        batch: TaughtBatch,
        *loss_state: Nest,
    ) -> tuple[Any, ...]:
        if self.teacher is None:
            coefficients = self._loss.schedule(batch.t)
        else:
            coefficients = self.coefficients(theta, batch.state_vector)
        num_parts = self.replicas.num_parts
        found = []
        for examples, (part, device) in zip(batch.examples, self.replicas.parts, strict=True):
            seed = batch.dropout_seed
            if part:
                seed = tf.random.experimental.stateless_fold_in(seed, part)
            with tf.device(device):
                outputs, updated, penalty = self.task.forward(
                    weights, variables, examples, training=True, seed=seed
                )
                coefficients, loss_state = self._loss.advance(
                    loss_state, outputs, examples.targets, coefficients
                )
                losses = self._loss(outputs, examples.targets, coefficients)
            if num_parts == 1:
                return tf.reduce_mean(losses) + penalty, updated, *loss_state
            whole = tf.cast(self.task.whole_batch(examples), losses.dtype)
            found.append((tf.reduce_sum(losses) / whole + penalty / num_parts, updated))
        shares, updates = zip(*found, strict=True)
        # Each part has its own statistics of a batch norm; the moving ones take their mean.
        mean = lambda *parts: (
            tf.add_n(parts) / num_parts if parts[0].dtype.is_floating else parts[0]
        )
        return tf.add_n(shares), [mean(*parts) for parts in zip(*updates, strict=True)]

    def _mean_loss(self, loss: tf.Tensor) -> float:
        if self.replicas.num_parts > 1:
            (loss,) = self.replicas.workers.sum([loss])
        return float(loss)
