"""The composition root: everything that a configuration names, built and run."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import gin
import keras
import numpy as np
import tensorflow as tf

from tf_l2t import plots
from tf_l2t.checks import whole_number
from tf_l2t.losses.base import Loss
from tf_l2t.runtime.checkpoints import Checkpoints
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.files import atomic_writer
from tf_l2t.runtime.run_directory import RunDirectory, RunDirectoryError, versions
from tf_l2t.runtime.summaries import Summaries
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.tasks.task import Task
from tf_l2t.training.evaluate import Row, summary, table, train_and_score
from tf_l2t.training.progress import Progress
from tf_l2t.training.recipe import Recipe
from tf_l2t.training.rollout import Budget, Lesson, Teaching
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.teacher_trainer import Snapshot, TeacherSchedule, TeacherTrainer
from tf_l2t.training.trust_region import TrustRegion

gin.register(Budget, module="tf_l2t")
gin.register(Row, module="tf_l2t")
gin.register(TeacherSchedule, module="tf_l2t")
gin.register(TrustRegion, module="tf_l2t")
for _name, _member in vars(keras.optimizers).items():
    if inspect.isclass(_member) and _name not in ("Optimizer", "LossScaleOptimizer"):
        gin.external_configurable(_member, module="keras.optimizers", name=_name)

TAUGHT = "taught"


@gin.configurable(module="tf_l2t")
class Experiment:
    """Trains a teacher, and compares the students it teaches with students on fixed losses.

    Args:
        name: of the run; the default run directory is runs/NAME.
        task: the problem.
        loss: the loss that the teacher sets the coefficients of.
        teacher: builds the teacher, for example `attention_teacher`.
        optimizer: a Keras optimizer for the teacher's parameters.
        teacher_schedule: how long the teacher is trained.
        trust_region: the guard of its training.
        budget: how long every student is trained.
        recipe: how every student is optimised.
        learning_rates: peak learning rates of students to try for the taught loss.
        rows: what the taught students are compared with.
        search_seeds: students that a learning rate is tried on.
        test_seeds: students of each row of the table.
        seed: of the run, from 0 to 49; two runs of different seeds share no student.
        checkpoint_every: teacher steps between two checkpoints.
        storage: where a rollout waits for its reverse pass; see `Engine`.
        truncate: reverse through the last so many steps only; through all if None.
        jit_compile: whether XLA compiles the training of students.

    Raises:
        ValueError: for anything that cannot work, before any work is done.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        loss: Loss,
        teacher: Callable[..., keras.Model],
        optimizer: keras.optimizers.Optimizer,
        teacher_schedule: TeacherSchedule,
        trust_region: TrustRegion,
        budget: Budget,
        recipe: Recipe,
        learning_rates: Sequence[float],
        rows: Sequence[Row] = (),
        *,
        search_seeds: int = 1,
        test_seeds: int = 3,
        seed: int = 0,
        checkpoint_every: int = 1,
        storage: str = "memory",
        truncate: int | None = None,
        jit_compile: bool = False,
    ) -> None:
        for argument, value, kind in (
            ("task", task, Task),
            ("loss", loss, Loss),
            ("optimizer", optimizer, keras.optimizers.Optimizer),
            ("teacher_schedule", teacher_schedule, TeacherSchedule),
            ("trust_region", trust_region, TrustRegion),
            ("budget", budget, Budget),
            ("recipe", recipe, Recipe),
        ):
            if not isinstance(value, kind):
                raise ValueError(
                    f"Experiment: {argument} must be a {kind.__name__}, got {value!r}; in a gin "
                    "file, bind it with brackets, as in @Name()."
                )
        whole_number("Experiment", "search_seeds", search_seeds, 1)
        whole_number("Experiment", "test_seeds", test_seeds, 1)
        whole_number("Experiment", "checkpoint_every", checkpoint_every, 1)
        student_seed("test", 0, seed)
        self.name = name
        self._task = task
        self._loss = loss
        self._optimizer = optimizer
        self._teacher_schedule = teacher_schedule
        self._trust_region = trust_region
        self._budget = budget
        self._recipe = recipe
        self._test_seeds = test_seeds
        self._search_seeds = search_seeds
        self._seed = seed
        self._checkpoint_every = checkpoint_every
        self._engine: dict[str, Any] = {
            "storage": storage,
            "truncate": truncate,
            "jit_compile": jit_compile,
        }
        self._taught = Row(TAUGHT, loss, learning_rates, teacher)
        self._rows = [*rows, self._taught]
        names = [row.name for row in self._rows]
        if len(set(names)) < len(names):
            raise ValueError(f"Experiment: rows must have different names, got {names}.")
        self._teachers = {row.name: self._build_teacher(row) for row in self._rows}
        # Built here, so that what cannot work is found before any work is done.
        self._teaching = {
            (row.name, rate): self._make_teaching(row, rate)
            for row in self._rows
            for rate in row.learning_rates
        }
        for row in self._rows:
            self._teaching[row.name, row.learning_rates[0]].check(self._initial_theta(row))

    def run(self, directory: RunDirectory) -> dict[str, Any]:
        """Runs, or goes on with, the whole experiment and returns what results.json holds.

        Raises:
            RunDirectoryError: if results.json is damaged, or of other data.
            CorruptCheckpointError: if no checkpoint can be read; nothing is touched then.
        """
        checkpoints = Checkpoints(directory.checkpoints)
        newest = checkpoints.newest()
        results = self._resume(directory)
        summaries = Summaries(directory.tensorboard, tuple(results["data"]["class_names"]))
        try:
            self._search(results, directory)
            trainer = self._teacher_trainer(results)
            if newest:
                trainer.restore(*newest)
            self._train_teacher(trainer, checkpoints, results, directory, summaries)
            if trainer.failure:
                results["status"] = "stopped"
            else:
                self._compare(trainer.best_theta, results, directory, summaries)
                results["status"] = "complete"
        except KeyboardInterrupt:
            results["status"] = "interrupted"
            raise
        finally:
            directory.write_results(results)
            summaries.close()
        plots.write_figures(directory.path)
        return results

    def _resume(self, directory: RunDirectory) -> dict[str, Any]:
        data = self._task.describe()
        results = directory.read_results()
        if results and results["data"] != data:
            raise RunDirectoryError(
                f"{directory.path} holds a run on other data: {results['data']}, while here is "
                f"{data}; give another --run_dir, or bring the data back."
            )
        fresh = {
            "name": self.name,
            "versions": versions(),
            "data": data,
            "budget": dataclasses.asdict(self._budget),
            "seconds": {"search": 0.0, "teacher": 0.0, "comparison": 0.0},
            "search": {},
            "teacher": {},
            "rows": {},
        }
        results = {**fresh, **results, "status": "running"}
        if results["versions"] != versions():
            results["resumed_with"] = versions()
        return results

    def _build_teacher(self, row: Row) -> keras.Model | None:
        if row.teacher is None:
            return None
        shapes = self._task.coefficient_shapes(row.loss)
        return row.teacher(shapes, len(self._task.feature_names))

    def _make_teaching(self, row: Row, learning_rate: float) -> Teaching:
        return Teaching(
            self._task,
            row.loss,
            self._recipe(learning_rate, self._budget.num_steps),
            self._budget,
            self._teachers[row.name],
            warm_start_rule=self._recipe(
                self._budget.warm_start_learning_rate, self._budget.num_steps
            ),
            **self._engine,
        )

    def _initial_theta(self, row: Row) -> list[tf.Tensor]:
        teacher = self._teachers[row.name]
        variables = teacher.trainable_variables if teacher is not None else []
        return [tf.convert_to_tensor(v) for v in variables]

    def _search(self, results: dict[str, Any], directory: RunDirectory) -> None:
        """Chooses the learning rate of each row by its dev accuracy."""
        trials = [(row, rate) for row in self._rows for rate in row.learning_rates]
        total = len(trials) * self._search_seeds * self._budget.num_steps
        with Progress("search of learning rates", total) as progress:
            for row, rate in trials:
                found = results["search"].setdefault(row.name, {})
                if f"{rate:g}" in found:
                    progress.steps(self._search_seeds * self._budget.num_steps)
                    continue
                start = time.perf_counter()
                accuracies = [
                    train_and_score(
                        self._teaching[row.name, rate],
                        self._initial_theta(row),
                        student_seed("search", index, self._seed),
                        ["dev"],
                        progress.steps,
                    )[0]["dev_accuracy"]
                    for index in range(self._search_seeds)
                ]
                found[f"{rate:g}"] = float(np.mean(accuracies))
                results["seconds"]["search"] += time.perf_counter() - start
                progress.note(f"{row.name} at {rate:g}: dev accuracy {found[f'{rate:g}']:.4f}")
                directory.write_results(results)

    @staticmethod
    def _learning_rate(row: Row, results: dict[str, Any]) -> float:
        found = results["search"][row.name]
        return max(row.learning_rates, key=lambda rate: found[f"{rate:g}"])

    def _best_teaching(self, row: Row, results: dict[str, Any]) -> Teaching:
        return self._teaching[row.name, self._learning_rate(row, results)]

    def _teacher_trainer(self, results: dict[str, Any]) -> TeacherTrainer:
        return TeacherTrainer(
            self._best_teaching(self._taught, results),
            self._optimizer,
            self._teacher_schedule,
            self._trust_region,
            self._seed,
        )

    def _train_teacher(
        self,
        trainer: TeacherTrainer,
        checkpoints: Checkpoints,
        results: dict[str, Any],
        directory: RunDirectory,
        summaries: Summaries,
    ) -> None:
        """Trains the teacher to its end, with checkpoints, and exports it."""
        saved = len(trainer.history)

        def save(snapshot: Snapshot) -> None:
            checkpoints.save(len(snapshot.record["history"]), *snapshot)
            results["teacher"] = {
                "steps": snapshot.record["history"],
                "refused_steps": snapshot.record["trust_region"]["refused"],
                "last_selection": snapshot.record["last_selection"],
                "best_dev_accuracy": snapshot.record["best_score"],
                "stopped_because": trainer.failure,
            }
            directory.write_results(results)

        snapshot = trainer.snapshot()
        try:
            with Progress("training of the teacher", *trainer.work()) as progress:
                while not trainer.finished:
                    start = time.perf_counter()
                    record = trainer.step(progress.steps)
                    snapshot = trainer.snapshot()
                    results["seconds"]["teacher"] += time.perf_counter() - start
                    summaries.teacher_step(record, trainer.coefficients_of_last_lesson())
                    for sentence in record.refused:
                        progress.write(f"teacher step {record.step}: {sentence}")
                    progress.note(f"step {record.step}: dev measure {record.measure:.4f}")
                    if len(trainer.history) - saved >= self._checkpoint_every:
                        save(snapshot)
                        saved = len(trainer.history)
                start = time.perf_counter()
                trainer.finish(progress.steps)
                snapshot = trainer.snapshot()
                results["seconds"]["teacher"] += time.perf_counter() - start
        finally:
            # What an interruption finds half done is left out: the next start does it again.
            save(snapshot)
            self._export(trainer, directory)

    def _export(self, trainer: TeacherTrainer, directory: RunDirectory) -> None:
        assert trainer.teaching.teacher is not None
        export_teacher(
            directory.teacher,
            trainer.teaching.teacher,
            trainer.best_theta,
            teacher_record(
                self._loss,
                self._task.describe()["class_names"],
                observed_examples=self._task.observed_examples,
                observe_every=self._budget.observe_every,
                budget=dataclasses.asdict(self._budget),
                dev_accuracy=trainer.best_score,
                data=self._task.describe(),
                config=directory.config.read_text(),
            ),
        )

    def _compare(
        self,
        theta: list[tf.Tensor],
        results: dict[str, Any],
        directory: RunDirectory,
        summaries: Summaries,
    ) -> None:
        """Trains the students of the table, on seeds that no search and no teacher saw."""
        cells = [(row, index) for row in self._rows for index in range(self._test_seeds)]
        with Progress("comparison", len(cells) * self._budget.num_steps) as progress:
            for row, index in cells:
                students = results["rows"].setdefault(row.name, {}).setdefault("students", {})
                seed = student_seed("test", index, self._seed)
                if str(seed) in students:
                    progress.steps(self._budget.num_steps)
                    continue
                parameters = theta if row is self._taught else self._initial_theta(row)
                start = time.perf_counter()
                student, lesson = train_and_score(
                    self._best_teaching(row, results),
                    parameters,
                    seed,
                    ["dev", "test"],
                    progress.steps,
                )
                student |= {"training_loss": lesson.training_loss, "segment_starts": lesson.steps}
                if row is self._taught and index == 0:
                    teaching = self._best_teaching(row, results)
                    values = [teaching.coefficients(theta, s) for s in lesson.state_vectors]
                    self._write_coefficients(lesson, values, directory, summaries)
                # Last, so that an interruption never leaves a student that is half written down.
                students[str(seed)] = student
                results["seconds"]["comparison"] += time.perf_counter() - start
                progress.note(f"{row.name}: test accuracy {student['test_accuracy']:.4f}")
                directory.write_results(results)
        for row in self._rows:
            students = results["rows"][row.name]["students"].values()
            results["rows"][row.name] |= {
                "learning_rate": self._learning_rate(row, results),
                "test_error": summary([1 - student["test_accuracy"] for student in students]),
                "dev_error": summary([1 - student["dev_accuracy"] for student in students]),
                "seconds": summary([student["seconds"] for student in students]),
            }
        results["table"] = table(results["rows"])

    @staticmethod
    def _write_coefficients(
        lesson: Lesson,
        coefficients: list[dict[str, tf.Tensor]],
        directory: RunDirectory,
        summaries: Summaries,
    ) -> None:
        values = [{name: t.numpy() for name, t in value.items()} for value in coefficients]
        for step, value in zip(lesson.steps, values, strict=True):
            summaries.coefficients("student", step, value)
        with atomic_writer(directory.coefficients) as file:
            np.savez(
                file,
                allow_pickle=False,
                steps=np.array(lesson.steps),
                state_vectors=np.stack([s.numpy() for s in lesson.state_vectors]),
                **{name: np.stack([value[name] for value in values]) for name in values[0]},
            )


def default_run_directory(name: str) -> pathlib.Path:
    """Returns runs/NAME under the current directory."""
    return pathlib.Path("runs") / name
