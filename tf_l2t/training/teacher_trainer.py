"""Training of a teacher: Algorithm 1 of L2T-DLF, with a guard."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.lesson import Lesson
from tf_l2t.training.resumed_schedule import ResumedSchedule
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.stopwatch import Stopwatch
from tf_l2t.training.teacher_step import (
    Measured,
    Snapshot,
    TeacherSchedule,
    TeacherStep,
    check_arrays,
)
from tf_l2t.training.teacher_work import TeacherWork
from tf_l2t.training.trust_region import TrustRegion


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
        shorter: T -> how students are taught that train for less than the budget of `teaching`,
            for a schedule with `growth`.

    Raises:
        ValueError: if the students cannot grow as the schedule says.
    """

    def __init__(
        self,
        teaching: Teaching,
        optimizer: keras.optimizers.Optimizer,
        schedule: TeacherSchedule,
        trust_region: TrustRegion,
        run_seed: int = 0,
        shorter: Callable[[int], Teaching] | None = None,
    ) -> None:
        assert teaching.teacher is not None
        schedule.check(teaching.budget)
        self.teaching = teaching
        self.shorter = shorter
        self.schedule = schedule
        self.trust_region = trust_region
        self.history: list[TeacherStep] = []
        self.last_lesson: Lesson | None = None
        self.last_selection: float | None = None
        self._run_seed = run_seed
        self._stopwatch = Stopwatch()
        self._optimizer = optimizer
        self._outer = OuterGradient(
            teaching.task.dev_loss, teaching.task.num_dev_chunks, replicas=teaching.replicas
        )
        self._theta = [keras.Variable(v) for v in teaching.teacher.trainable_variables]
        optimizer.build(self._theta)
        # A schedule goes on after a refusal, while the moments and their count start anew.
        self._resumed = None
        if isinstance(optimizer.get_config()["learning_rate"], dict):
            self._resumed = ResumedSchedule(optimizer._learning_rate)
            optimizer.learning_rate = self._resumed
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
        """Mean dev score of the selection students of the best parameters."""
        return float(self._best_score)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        patience = self.schedule.patience
        return (
            self.last_selection is not None
            or len(self.history) >= self.schedule.num_steps
            or self.trust_region.exhausted
            or (patience is not None and self._selections_since_best >= patience)
        )

    @property
    def planned(self) -> TeacherWork:
        """How much the training is."""
        return TeacherWork(self.schedule, self.teaching)

    def work(self) -> tuple[int, int]:
        """Returns how many student steps the training takes, and how many of them are done."""
        return self.planned.whole, self.planned.until(len(self.history))

    @property
    def steps_in_reverse(self) -> int:
        """How many of the student steps of the training are reversed, if none is refused."""
        return self.planned.reversed(self.schedule.num_steps)

    def _student_steps(self, number: int) -> int:
        return self.planned.student_steps(number)

    def coefficients_of_last_lesson(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns what θ sets, and attends to, at the begin, middle and end of the last student.

        It is empty in a worker that had no student to teach.
        """
        if self.last_lesson is None:
            return {}
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
        if number and self._student_steps(number) != self._student_steps(number - 1):
            self.trust_region.forget()
        selection = None
        if number % self.schedule.select_every == 0:
            with self._stopwatch("selection"):
                selection = self._select(on_steps)
        gradients, record = self._hypergradient(number, on_steps)
        if gradients is not None:
            self._remember_good()
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
            student_steps=self._student_steps(number),
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
        """Averages the believed hypergradients of a step's students, over all workers."""
        replicas, teaching = self.teaching.replicas, self._teaching_of(number)
        first = number * self.schedule.students_per_step
        count = self.schedule.students_per_step
        total = [tf.zeros_like(v) for v in self.theta]
        measured: list[Measured] = []
        for indices in replicas.share(range(first, first + count)):
            if not indices:
                continue
            for found, gradients in self._differentiate(teaching, indices, on_steps):
                measured.append(found)
                if self._reason_to_refuse(found) is None:
                    clip = self.trust_region.clip(found.norm)
                    total = [t + clip * g for t, g in zip(total, gradients, strict=True)]
        if replicas.num_parts == 1:
            # What each worker measured of its own students; of split batches all hold the same.
            gathered = replicas.workers.gather([list(found) for found in measured])
            measured = sorted(Measured(*found) for found in itertools.chain(*gathered))
            total = replicas.workers.sum(total)
        reasons = [self._reason_to_refuse(found) for found in measured]
        believed = [f for f, reason in zip(measured, reasons, strict=True) if reason is None]
        refused = tuple(
            f"the hypergradient of student {self._teaching_seed(found.student)} is not to be "
            f"believed: {reason} (norm {found.norm:.3g}, |λ_0|/|λ_T| {found.amplification:.3g})"
            for found, reason in zip(measured, reasons, strict=True)
            if reason
        )
        record = TeacherStep(
            step=number,
            measure=float(np.mean([found.measure for found in measured])),
            score=float(np.mean([found.score for found in measured])),
            norm=float(np.mean([found.norm for found in believed])) if believed else None,
            amplification=float(np.max([found.amplification for found in measured])),
            refused=refused,
            taken=False,
            scale=self.trust_region.scale,
            selection=None,
        )
        if len(refused) * 2 >= count:
            return None, record
        self.trust_region.accept(
            [found.norm for found in believed], [found.score for found in believed]
        )
        return [tensor / len(believed) for tensor in total], record

    def _teaching_of(self, number: int) -> Teaching:
        """Returns how the students of a teacher step are taught."""
        length = self._student_steps(number)
        if length == self.teaching.budget.num_steps:
            return self.teaching
        if self.shorter is None:
            raise ValueError(
                f"TeacherTrainer: shorter must say how students of {length} steps are taught, got "
                "None; give it with a schedule that has growth."
            )
        return self.shorter(length)

    def _differentiate(
        self, teaching: Teaching, indices: list[int], on_steps: Callable[[int], None] | None
    ) -> list[tuple[Measured, list[tf.Tensor]]]:
        """Teaches students side by side, and differentiates through their training."""
        theta = self.theta
        seeds = [self._teaching_seed(index) for index in indices]
        with self._stopwatch("rollout"):
            lessons = teaching.roll_out_each(theta, seeds, record=True, on_steps=on_steps)
        self.last_lesson = lessons[-1]
        with self._stopwatch("dev gradient"):
            ends = teaching.differentiate_each(lessons, self._outer)
            measures = [-float(value) for value, _ in ends]
        with self._stopwatch("reverse"):
            adjoints = [adjoint for _, adjoint in ends]
            results = teaching.reverse_each(lessons, theta, adjoints, on_steps)
            norms = [float(tf.linalg.global_norm(result.gradients)) for result in results]
        with self._stopwatch("evaluation"):
            scores = teaching.evaluate_each(lessons, "dev")
        return [
            (
                Measured(
                    indices[k],
                    measures[k],
                    scores[k][teaching.task.score.key],
                    norms[k],
                    float(tf.math.divide_no_nan(result.initial_norm, result.final_norm)),
                ),
                result.gradients,
            )
            for k, result in enumerate(results)
        ]

    def _teaching_seed(self, index: int) -> int:
        different = self.schedule.num_students
        index = index if different is None else index % different
        return student_seed("teaching", index, self._run_seed)

    def _reason_to_refuse(self, found: Measured) -> str | None:
        return self.trust_region.reason_to_refuse(found.norm, found.amplification, found.score)

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
            variable.assign(value)
        self._go_on_with_schedule()

    def _go_on_with_schedule(self) -> None:
        if self._resumed is not None:
            taken = sum(step.taken for step in self.history)
            self._resumed.offset = taken - int(self._optimizer.iterations.numpy())

    def _remember_good(self) -> None:
        theta = self._numpy_theta()
        if any((a != b).any() for a, b in zip(theta, self._good[-1], strict=True)):
            self._good = [*self._good, theta][-self.trust_region.max_refused_in_a_row :]

    def _select(self, on_steps: Callable[[int], None] | None) -> float:
        seeds = [
            student_seed("selection", index, self._run_seed)
            for index in range(self.schedule.selection_students)
        ]
        students = train_and_score(self.teaching, self.theta, seeds, ["dev"], on_steps)
        scores = [student[self.teaching.task.score.scored("dev")] for student in students]
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
        """Sets everything to what `snapshot` returned.

        Raises:
            ValueError: if it is of another teacher or optimizer, before anything is set.
        """
        names = ["theta", "best", *(f"good{k}" for k in range(record["num_good"]))]
        groups = dict.fromkeys(names, self._theta) | {"optimizer": self._optimizer.variables}
        check_arrays(arrays, groups)
        group = lambda name: [arrays[f"{name}/{i}"] for i in range(len(groups[name]))]
        self._set_theta(group("theta"))
        self._best = group("best")
        self._good = [group(name) for name in names[2:]]
        for variable, value in zip(self._optimizer.variables, group("optimizer"), strict=True):
            variable.assign(value)
        self.trust_region.restore(record["trust_region"])
        self._best_score = -np.inf if record["best_score"] is None else record["best_score"]
        self._selections_since_best = record["selections_since_best"]
        self.last_selection = record["last_selection"]
        self.history = [
            TeacherStep(**{**step, "refused": tuple(step["refused"])}) for step in record["history"]
        ]
        self._go_on_with_schedule()


def check_learns(teacher: keras.Model | None) -> None:
    """Raises ValueError for a teacher without parameters."""
    if teacher is None or not teacher.trainable_variables:
        raise ValueError(
            "Experiment: teacher has no parameters that could be trained; use attention_teacher, "
            "or compare the loss in a row of tf_l2t.compare."
        )
