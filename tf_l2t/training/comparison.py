"""Comparison of losses: the same students, budgets and seeds for each, and the same search."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.tasks.task import Task
from tf_l2t.training.evaluate import Row, train_and_score
from tf_l2t.training.progress import Progress
from tf_l2t.training.recipe import Recipe
from tf_l2t.training.rollout import Budget, Lesson, Teaching
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.statistics import paired_difference, summary, table

OnLesson = Callable[[Row, int, Lesson], None]


class Comparison:
    """Students of every row, each trained at the learning rate that was best on dev.

    What is found is written into `results`, the content of results.json, and what is there
    already is not done again.

    Args:
        task: the problem.
        rows: what is compared, names all different.
        budget: how long every student is trained.
        recipe: how every student is optimised.
        search_seeds: students that a learning rate is tried on.
        test_seeds: students of each row of the table.
        run_seed: decides which students these are.
        baseline: name of the row that the others are compared with, pair by pair.
        replicas: the devices that students are spread over.
        engine: storage, truncate and jit_compile of `Teaching`.

    Raises:
        ValueError: if the names are not all different, or a row does not fit the task.
    """

    def __init__(
        self,
        task: Task,
        rows: Sequence[Row],
        budget: Budget,
        recipe: Recipe,
        *,
        search_seeds: int,
        test_seeds: int,
        run_seed: int,
        baseline: str | None = None,
        replicas: Replicas,
        engine: Mapping[str, Any],
    ) -> None:
        names = [row.name for row in rows]
        if len(set(names)) < len(names):
            raise ValueError(f"Experiment: rows must have different names, got {names}.")
        self.rows = list(rows)
        self._task = task
        self._budget = budget
        self._recipe = recipe
        self._search_seeds = search_seeds
        self._test_seeds = test_seeds
        self._run_seed = run_seed
        self._baseline = baseline
        self._replicas = replicas
        self._engine = dict(engine)
        self.teachers = {row.name: self._build_teacher(row) for row in rows}
        # Built here, so that what cannot work is found before any work is done.
        self._teaching = {
            (row.name, rate): self._make_teaching(row, rate)
            for row in rows
            for rate in row.learning_rates
        }
        for row in rows:
            self._teaching[row.name, row.learning_rates[0]].check(self.initial_theta(row.name))

    def initial_theta(self, name: str) -> list[tf.Tensor]:
        """Returns the parameters that the teacher of a row starts from, [] where it has none."""
        teacher = self.teachers[name]
        variables = teacher.trainable_variables if teacher is not None else []
        return [tf.convert_to_tensor(v) for v in variables]

    def learning_rate(self, row: Row, results: Mapping[str, Any]) -> float:
        """Returns the rate of a row that was best on dev, once `search` is done."""
        found = results["search"][row.name]
        return max(row.learning_rates, key=lambda rate: found[f"{rate:g}"])

    def any_teaching(self, row: Row) -> Teaching:
        """Returns how a student of a row is taught at one of its learning rates."""
        return self._teaching[row.name, row.learning_rates[0]]

    def best_teaching(self, row: Row, results: Mapping[str, Any]) -> Teaching:
        """Returns how a student of a row is taught at its best learning rate."""
        return self._teaching[row.name, self.learning_rate(row, results)]

    def search(self, results: dict[str, Any], save: Callable[[], None]) -> None:
        """Tries the learning rates of each row on dev.

        Args:
            results: filled in; "search" holds the dev accuracy of each row and rate.
            save: called after each trial.
        """
        trials = [(row, rate) for row in self.rows for rate in row.learning_rates]
        steps = self._search_seeds * self._budget.num_steps
        total = len(trials) * steps
        with Progress("search of learning rates", total, replicas=self._replicas) as progress:
            for row, rate in trials:
                found = results["search"].setdefault(row.name, {})
                if f"{rate:g}" in found:
                    progress.skip(steps)
                    continue
                start = time.perf_counter()
                seeds = self._seeds("search", self._search_seeds)
                students = train_and_score(
                    self._teaching[row.name, rate],
                    self.initial_theta(row.name),
                    seeds,
                    ["dev"],
                    progress.steps,
                )
                accuracies = [student["dev_accuracy"] for student in students]
                found[f"{rate:g}"] = float(np.mean(accuracies))
                results["seconds"]["search"] += time.perf_counter() - start
                progress.note(f"{row.name} at {rate:g}: dev accuracy {found[f'{rate:g}']:.4f}")
                save()

    def run(
        self,
        results: dict[str, Any],
        save: Callable[[], None],
        theta: Mapping[str, list[tf.Tensor]] | None = None,
        on_lesson: OnLesson | None = None,
    ) -> None:
        """Trains the students of the table, on seeds that no search and no teacher saw.

        Args:
            results: filled in; "rows" holds every student, and "table" the Markdown.
            save: called after each student.
            theta: parameters of teachers by the name of the row; else those they start from.
            on_lesson: called with row, index of the student and lesson before it is noted down.
        """
        seeds = self._seeds("test", self._test_seeds)
        total = len(self.rows) * len(seeds) * self._budget.num_steps
        with Progress("comparison", total, replicas=self._replicas) as progress:
            for row in self.rows:
                students = results["rows"].setdefault(row.name, {}).setdefault("students", {})
                missing = [seed for seed in seeds if str(seed) not in students]
                progress.skip((len(seeds) - len(missing)) * self._budget.num_steps)
                for together in self._replicas.rounds(missing):
                    begun = time.perf_counter()
                    found = train_and_score(
                        self.best_teaching(row, results),
                        self._theta(row, theta),
                        together,
                        ["dev", "test"],
                        progress.steps,
                        functools.partial(_numbered, on_lesson, row, seeds),
                        observe=True,
                    )
                    # Last, so that an interruption never leaves one that is half written down.
                    for seed, student in zip(together, found, strict=True):
                        students[str(seed)] = student
                        progress.note(f"{row.name}: test accuracy {student['test_accuracy']:.4f}")
                    results["seconds"]["comparison"] += time.perf_counter() - begun
                    save()
        self._summarise(results)

    def _summarise(self, results: dict[str, Any]) -> None:
        rows = results["rows"]
        for row in self.rows:
            students = rows[row.name]["students"].values()
            rows[row.name] |= {
                "learning_rate": self.learning_rate(row, results),
                "test_error": summary([1 - student["test_accuracy"] for student in students]),
                "dev_error": summary([1 - student["dev_accuracy"] for student in students]),
                "seconds": summary([student["seconds"] for student in students]),
            }
        if self._baseline in rows:
            results["baseline"] = self._baseline
            theirs = rows[self._baseline]["students"]
            for row in self.rows:
                ours = rows[row.name]["students"]
                if row.name != self._baseline:
                    rows[row.name]["difference"] = paired_difference(
                        [1 - ours[seed]["test_accuracy"] for seed in theirs],
                        [1 - theirs[seed]["test_accuracy"] for seed in theirs],
                    )
        results["table"] = table(results)

    def _seeds(self, role: str, count: int) -> list[int]:
        return [student_seed(role, index, self._run_seed) for index in range(count)]

    def _theta(self, row: Row, theta: Mapping[str, list[tf.Tensor]] | None) -> list[tf.Tensor]:
        if theta is not None and row.name in theta:
            return theta[row.name]
        return self.initial_theta(row.name)

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
            self.teachers[row.name],
            warm_start_rule=self._recipe(
                self._budget.warm_start_learning_rate, self._budget.num_steps
            ),
            replicas=self._replicas,
            **self._engine,
        )


def _numbered(
    on_lesson: OnLesson | None, row: Row, seeds: list[int], seed: int, lesson: Lesson
) -> None:
    if on_lesson:
        on_lesson(row, seeds.index(seed), lesson)
