"""Training of a teacher: Algorithm 1 of L2T-DLF, with a guard."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.training.rollout import Lesson, Teaching
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.stopwatch import Stopwatch
from tf_l2t.training.trust_region import TrustRegion


@dataclasses.dataclass(frozen=True)
class TeacherStep:
    """What happened in one teacher step; `None` where it was not measured.

    Attributes:
        step: number of the teacher step, from 0.
        measure: mean dev measure of the students that θ taught.
        accuracy: their mean dev accuracy.
        norm: mean norm of the believed hypergradients, before clipping.
        amplification: largest |λ_0|/|λ_T|.
        refused: why hypergradients were refused, one sentence each.
        taken: whether θ was changed.
        scale: of the step.
        selection: mean dev accuracy of the selection students, taught by θ before the step.
        seconds: wall time of each phase; no two runs have the same.
    """

    step: int
    measure: float
    accuracy: float
    norm: float | None
    amplification: float
    refused: tuple[str, ...]
    taken: bool
    scale: float
    selection: float | None
    seconds: dict[str, float] = dataclasses.field(default_factory=dict, compare=False)


class Snapshot(NamedTuple):
    """The state of a `TeacherTrainer` between two steps, as a checkpoint holds it."""

    arrays: dict[str, np.ndarray]
    record: dict[str, Any]
    """JSON."""


@dataclasses.dataclass(frozen=True)
class TeacherSchedule:
    """How long a teacher is trained.

    Attributes:
        num_steps: teacher steps at most.
        students_per_step: students whose hypergradients are averaged in a step.
        select_every: teacher steps between two evaluations of θ on the selection students.
        selection_students: how many of these; the same ones each time.
        patience: evaluations without a better teacher that end the training; no end if None.
    """

    num_steps: int = 30
    students_per_step: int = 1
    select_every: int = 5
    selection_students: int = 2
    patience: int | None = None

    def __post_init__(self) -> None:
        whole_number("TeacherSchedule", "num_steps", self.num_steps, 0)
        for name in ("students_per_step", "select_every", "selection_students", "patience"):
            if (value := getattr(self, name)) is not None:
                whole_number("TeacherSchedule", name, value, 1)


class TeacherTrainer:
    """Trains the parameters θ of a teacher by the hypergradient of the dev measure.

    Each teacher step teaches fresh students from their first step to their last, differentiates
    their dev measure back through it, averages, and takes one step of the optimizer on θ. A
    teacher step whose hypergradients `trust_region` refuses is undone: θ goes back to the last
    values that gave good ones, the optimizer forgets its moments, and the next steps are smaller.

    Args:
        teaching: how a student is taught; holds the teacher, whose weights are left alone.
        optimizer: any Keras optimizer, for θ.
        schedule: for how long.
        trust_region: the guard.
        run_seed: decides which students are taught.
    """

    def __init__(
        self,
        teaching: Teaching,
        optimizer: keras.optimizers.Optimizer,
        schedule: TeacherSchedule,
        trust_region: TrustRegion,
        run_seed: int = 0,
    ) -> None:
        assert teaching.teacher is not None
        self.teaching = teaching
        self.schedule = schedule
        self.trust_region = trust_region
        self.history: list[TeacherStep] = []
        self.last_lesson: Lesson | None = None
        self.last_selection: float | None = None
        self._run_seed = run_seed
        self._optimizer = optimizer
        self._outer = OuterGradient(teaching.task.dev_loss, teaching.task.num_dev_chunks)
        self._theta = [keras.Variable(v) for v in teaching.teacher.trainable_variables]
        optimizer.build(self._theta)
        # A schedule goes on after a refusal, while the moments start anew.
        self._scheduled = isinstance(optimizer.get_config()["learning_rate"], dict)
        self._fresh_optimizer = [v.numpy() for v in optimizer.variables]
        self._good = [self._numpy_theta()]
        self._best = self._numpy_theta()
        self._best_score = -np.inf
        self._selections_since_best = 0

    @property
    def theta(self) -> list[tf.Tensor]:
        """The teacher's parameters now."""
        return [tf.convert_to_tensor(v) for v in self._theta]

    @property
    def best_theta(self) -> list[tf.Tensor]:
        """The parameters that did best on the selection students."""
        return [tf.constant(array) for array in self._best]

    @property
    def best_score(self) -> float:
        """Mean dev accuracy of the selection students of the best parameters."""
        return float(self._best_score)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        patience = self.schedule.patience
        return (
            len(self.history) >= self.schedule.num_steps
            or self.trust_region.exhausted
            or (patience is not None and self._selections_since_best >= patience)
        )

    def work(self) -> tuple[int, int]:
        """Returns how many student steps the training takes, and how many of them are done."""
        schedule, num_steps = self.schedule, self.teaching.budget.num_steps

        def steps(teacher_steps: int) -> int:
            selections = -(-teacher_steps // schedule.select_every)
            students = 2 * schedule.students_per_step * teacher_steps
            return num_steps * (students + schedule.selection_students * selections)

        last_selection = schedule.selection_students * num_steps
        return steps(schedule.num_steps) + last_selection, steps(len(self.history))

    def coefficients_of_last_lesson(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns what θ sets, and attends to, at the begin, middle and end of the last student."""
        assert self.last_lesson is not None
        vectors = self.last_lesson.state_vectors
        positions = {"begin": 0, "middle": len(vectors) // 2, "end": -1}
        return {
            name: self.teaching.explain(self.theta, vectors[position])
            for name, position in positions.items()
        }

    @property
    def failure(self) -> str | None:
        """Why the training ended before its time, with remedies; None if it did not."""
        if not self.trust_region.exhausted:
            return None
        last = self.history[-1]
        return (
            f"{self.trust_region.refused_in_a_row} teacher steps in a row were refused, the last, "
            f"step {last.step}, because {last.refused[-1]}. The best teacher so far is kept. Lower "
            "the student's learning rate (away from its edge of stability), start from a larger "
            "positive off_diagonal, or take smaller teacher steps."
        )

    def step(self, on_steps: Callable[[int], None] | None = None) -> TeacherStep:
        """Takes one teacher step and returns what happened.

        Args:
            on_steps: called with numbers of student steps done, forward and in reverse alike.
        """
        number = len(self.history)
        self._stopwatch = Stopwatch()
        selection = None
        if number % self.schedule.select_every == 0:
            with self._stopwatch("selection"):
                selection = self._select(on_steps)
        gradients, record = self._hypergradient(number, on_steps)
        if gradients is not None:
            self._good = [*self._good, self._numpy_theta()][
                -self.trust_region.max_refused_in_a_row :
            ]
            self._move(gradients)
        else:
            self.trust_region.refuse()
            self._go_back()
        record = dataclasses.replace(
            record,
            taken=gradients is not None,
            scale=self.trust_region.scale,
            selection=selection,
            seconds=self._stopwatch.seconds,
        )
        self.history.append(record)
        return record

    def finish(self, on_steps: Callable[[int], None] | None = None) -> None:
        """Evaluates the last θ too, which no teacher step does; once."""
        if self.last_selection is None and not self.trust_region.exhausted:
            self.last_selection = self._select(on_steps)

    def _hypergradient(
        self, number: int, on_steps: Callable[[int], None] | None
    ) -> tuple[list[tf.Tensor] | None, TeacherStep]:
        believed, norms, scores, refused = [], [], [], []
        measures, accuracies, amplifications = [], [], []
        for k in range(self.schedule.students_per_step):
            index = number * self.schedule.students_per_step + k
            seed = student_seed("teaching", index, self._run_seed)
            with self._stopwatch("rollout"):
                lesson = self.teaching.roll_out(self.theta, seed, record=True, on_steps=on_steps)
            self.last_lesson = lesson
            with self._stopwatch("dev gradient"):
                value, adjoint = self._outer(lesson.rollout.state)
                measures.append(-float(value))
            with self._stopwatch("reverse"):
                result = self.teaching.engine.reverse(
                    lesson.rollout, self.theta, adjoint, on_segment=on_steps
                )
                norm = float(tf.linalg.global_norm(result.gradients))
            amplification = float(result.initial_norm / result.final_norm)
            with self._stopwatch("evaluation"):
                accuracy = self.teaching.task.evaluate(lesson.rollout.state, "dev")["accuracy"]
            accuracies.append(accuracy)
            amplifications.append(amplification)
            reason = self.trust_region.reason_to_refuse(norm, amplification, accuracy)
            if reason:
                refused.append(
                    f"the hypergradient of student {seed} is not to be believed: {reason} "
                    f"(norm {norm:.3g}, |λ_0|/|λ_T| {amplification:.3g})"
                )
                continue
            clip = self.trust_region.clip(norm)
            believed.append([clip * gradient for gradient in result.gradients])
            norms.append(norm)
            scores.append(accuracy)
        record = TeacherStep(
            step=number,
            measure=float(np.mean(measures)),
            accuracy=float(np.mean(accuracies)),
            norm=float(np.mean(norms)) if norms else None,
            amplification=float(np.max(amplifications)),
            refused=tuple(refused),
            taken=False,
            scale=self.trust_region.scale,
            selection=None,
        )
        if len(refused) * 2 >= self.schedule.students_per_step:
            return None, record
        self.trust_region.accept(norms, scores)
        mean = [tf.add_n(list(parts)) / len(believed) for parts in zip(*believed, strict=True)]
        return mean, record

    def _move(self, gradients: list[tf.Tensor]) -> None:
        before = self._numpy_theta()
        self._optimizer.apply_gradients(zip(gradients, self._theta, strict=True))
        scale = self.trust_region.scale
        for variable, old in zip(self._theta, before, strict=True):
            variable.assign(old + scale * (variable - old))

    def _go_back(self) -> None:
        # The first refusal follows a step away from the last good θ. A further one is of students
        # that this θ itself taught, so that it was not as good as it seemed.
        if self.trust_region.refused_in_a_row > 1 and len(self._good) > 1:
            self._good.pop()
        self._set_theta(self._good[-1])
        for variable, value in zip(self._optimizer.variables, self._fresh_optimizer, strict=True):
            if variable is not self._optimizer.iterations or not self._scheduled:
                variable.assign(value)

    def _remember_good(self) -> None:
        theta = self._numpy_theta()
        if any((a != b).any() for a, b in zip(theta, self._good[-1], strict=True)):
            self._good = [*self._good, theta][-self.trust_region.max_refused_in_a_row :]

    def _select(self, on_steps: Callable[[int], None] | None) -> float:
        scores = []
        for index in range(self.schedule.selection_students):
            seed = student_seed("selection", index, self._run_seed)
            lesson = self.teaching.roll_out(self.theta, seed, on_steps=on_steps)
            scores.append(self.teaching.task.evaluate(lesson.rollout.state, "dev")["accuracy"])
        score = float(np.mean(scores))
        if score > self._best_score:
            self._best, self._best_score = self._numpy_theta(), score
            self._selections_since_best = 0
        else:
            self._selections_since_best += 1
        return score

    def _numpy_theta(self) -> list[np.ndarray]:
        return [v.numpy() for v in self._theta]

    def _set_theta(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._theta, values, strict=True):
            variable.assign(value)

    def snapshot(self) -> Snapshot:
        """Returns all that a later process needs to go on from here."""
        groups: dict[str, list[np.ndarray]] = {
            "theta": self._numpy_theta(),
            "best": self._best,
            "optimizer": [v.numpy() for v in self._optimizer.variables],
        }
        groups |= {f"good{k}": theta for k, theta in enumerate(self._good)}
        arrays = {f"{name}/{i}": a for name, group in groups.items() for i, a in enumerate(group)}
        record = {
            "history": [dataclasses.asdict(step) for step in self.history],
            "trust_region": self.trust_region.state(),
            "best_score": None if np.isneginf(self._best_score) else float(self._best_score),
            "selections_since_best": self._selections_since_best,
            "num_good": len(self._good),
            "last_selection": self.last_selection,
        }
        return Snapshot(arrays, record)

    def restore(self, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Sets everything to what `snapshot` returned."""
        group = lambda name, count: [arrays[f"{name}/{i}"] for i in range(count)]
        count = len(self._theta)
        self._set_theta(group("theta", count))
        self._best = group("best", count)
        self._good = [group(f"good{k}", count) for k in range(record["num_good"])]
        values = group("optimizer", len(self._optimizer.variables))
        for variable, value in zip(self._optimizer.variables, values, strict=True):
            variable.assign(value)
        self.trust_region.restore(record["trust_region"])
        self._best_score = -np.inf if record["best_score"] is None else record["best_score"]
        self._selections_since_best = record["selections_since_best"]
        self.last_selection = record["last_selection"]
        self.history = [
            TeacherStep(**{**step, "refused": tuple(step["refused"])}) for step in record["history"]
        ]
