"""Comparison of losses: the same students, budgets and seeds for each, and the same search."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.differentiation.workers import Workers
from tf_l2t.losses.base import Loss
from tf_l2t.tasks.task import Task
from tf_l2t.training.budget import Budget
from tf_l2t.training.estimated import EstimatedLoss
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.lesson import Lesson
from tf_l2t.training.progress import Progress
from tf_l2t.training.recipe import Recipe
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.rows import AnyLoss, BuildTeacher, Row, Trial
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.statistics import paired_difference, summary, table
from tf_l2t.training.warm_start import MOST_KEPT, WarmStart, WarmStartStore

_SEARCH, _TABLE = 0, 1
# Of dev data that is trained on, to choose learning rates by.
_HELD_BACK = 0.2

OnLesson = Callable[[Row, int, Lesson], None]


class Comparison:
    """Students of every row, each trained at the learning rate that was best on dev.

    What is found is written into `results`, the content of results.json, and what is there
    already is not done again.

    Args:
        task: the problem.
        rows: what is compared, names all different.
        budget: how long every student is trained.
        recipe: how every student is optimised whose row has no recipe of its own.
        search_seeds: students that a learning rate is tried on.
        test_seeds: students of each row of the table.
        run_seed: decides which students these are.
        baseline: name of the row that the others are compared with, pair by pair.
        taught_again: students beside these that a teacher trains more than once.
        replicas: the devices that students are spread over.
        engine: storage, truncate and jit_compile of `Teaching`.
        warm_starts: keeps those of the students beyond this process.

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
        taught_again: int = 0,
        replicas: Replicas,
        engine: Mapping[str, Any],
        warm_starts: WarmStartStore | None = None,
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
        # So that no student that comes again has to be taken through its warm start again.
        again = search_seeds + test_seeds + taught_again
        self._warm_starts_kept = max(MOST_KEPT, again)
        self._warm_start_store = warm_starts
        self._replicas = replicas
        self._engine = dict(engine)
        self._teachers = {
            (row.name, variant): self._build_teacher(loss, teacher)
            for row in rows
            for variant, (loss, teacher) in row.variants.items()
        }
        self._teaching: dict[tuple[str, str, int, int], Teaching] = {}
        self._warm_starts: dict[tuple[int, Recipe], WarmStart] = {}
        self._tasks = {"train": (task, task)}
        for row in rows:
            if row.trained_on not in self._tasks:
                self._tasks[row.trained_on] = (
                    task.trained_on(row.trained_on, held_back=_HELD_BACK),
                    task.trained_on(row.trained_on),
                )
        plain = [row for row in rows if row.is_plain_cross_entropy]
        for row in rows:
            if row.is_estimated and not plain:
                raise ValueError(
                    f"Row {row.name!r} is estimated with a student on cross entropy; add a row "
                    "with loss = @CrossEntropy()."
                )
        self._shown_by = plain[0] if plain else None
        # Built here, so that what cannot work is found before any work is done.
        for row in rows:
            for trial in row.trials:
                loss, _ = row.variants[trial.variant]
                if isinstance(loss, EstimatedLoss):
                    # Its students come later; their recipe is a part of the configuration now.
                    own = row.recipe or recipe
                    own(trial.learning_rate, budget.num_steps)
                    self._warm_start(self._tasks[row.trained_on][_TABLE], own)
                    continue
                teaching = self._teach(row, trial, _SEARCH)
                if trial.learning_rate == row.learning_rates[0]:
                    teaching.check(self._initial_theta(row, trial))

    def initial_theta(self, row: Row, results: Mapping[str, Any]) -> list[tf.Tensor]:
        """Returns the parameters that the teacher of a row starts from, [] where it has none."""
        return self._initial_theta(row, self.best_trial(row, results))

    def best_trial(self, row: Row, results: Mapping[str, Any]) -> Trial:
        """Returns what was best on dev for a row, once `search` is done."""
        found = results["search"][row.name]
        return max(row.trials, key=lambda trial: found[trial.name])

    @property
    def workers(self) -> Workers:
        """The processes that share the work."""
        return self._replicas.workers

    def work(self) -> tuple[int, int]:
        """Returns how many student steps the search takes, and how many the table."""
        trials = sum(len(row.trials) for row in self.rows) * self._search_seeds
        students = len(self.rows) * self._test_seeds
        steps = self._budget.num_steps
        return (trials + sum(row.is_estimated for row in self.rows)) * steps, students * steps

    @property
    def kept_steps(self) -> int:
        """How many of these are of warm starts that were made before, for another row or trial."""
        students = sum(self.work()) // self._budget.num_steps
        made = len(self._warm_starts) * (self._search_seeds + self._test_seeds)
        return max(0, students - made) * self._budget.warm_start_steps

    def any_teaching(self, row: Row) -> Teaching:
        """Returns how a student of a row is taught in one of its trials."""
        return self._teach(row, row.trials[0], _SEARCH)

    def best_teaching(self, row: Row, results: Mapping[str, Any]) -> Teaching:
        """Returns how a student of a row is taught with what was best on dev."""
        trial = self.best_trial(row, results)
        return self._teach(row, trial, _TABLE, results.get("estimates"))

    def teaching_at(self, row: Row, learning_rate: float, num_steps: int | None = None) -> Teaching:
        """Returns how a student of a row of one variant is taught at a learning rate.

        Args:
            row: of the comparison.
            learning_rate: its peak.
            num_steps: T, which the course of the rate and t/T end at; that of the budget if None.
                Another T is for budgets without a warm start.
        """
        trial = Trial(f"{learning_rate:g}", "", learning_rate)
        return self._teach(row, trial, _TABLE, num_steps=num_steps)

    def search(
        self,
        results: dict[str, Any],
        save: Callable[[], None],
        theta: Mapping[str, list[tf.Tensor]] | None = None,
        left_out: Row | None = None,
    ) -> None:
        """Tries the variants and learning rates of each row on dev.

        Args:
            results: filled in; "search" holds the dev score of each row and trial,
                "estimates" what was estimated for a row.
            save: called after each trial.
            theta: parameters of teachers by the name of the row; else those they start from.
            left_out: a row that is not tried now.
        """
        # What is to be estimated needs what was found for cross entropy.
        rows, score = sorted(self.rows, key=lambda row: row.is_estimated), self._task.score
        rows = [row for row in rows if row is not left_out]
        if not any(
            trial.name not in results["search"].get(row.name, {})
            for row in rows
            for trial in row.trials
        ):
            return
        trials = [(row, trial) for row in rows for trial in row.trials]
        steps = self._search_seeds * self._budget.num_steps
        unknown = [row for row in rows if row.is_estimated]
        unknown = [row for row in unknown if row.name not in results.get("estimates", {})]
        total = len(trials) * steps + len(unknown) * self._budget.num_steps
        with Progress("search of learning rates", total, replicas=self._replicas) as progress:
            for row, trial in trials:
                found = results["search"].setdefault(row.name, {})
                if trial.name in found:
                    progress.skip(steps)
                    continue
                start = time.perf_counter()
                if row.is_estimated and row.name not in results.setdefault("estimates", {}):
                    results["estimates"][row.name] = self._estimate(results, progress.steps)
                students = train_and_score(
                    self._teach(row, trial, _SEARCH, results.get("estimates")),
                    self._given_theta(row, theta) or self._initial_theta(row, trial),
                    self._seeds("search", self._search_seeds),
                    ["dev"],
                    progress.steps,
                )
                scores = [student[score.scored("dev")] for student in students]
                found[trial.name] = float(np.mean(scores))
                results["seconds"]["search"] += time.perf_counter() - start
                progress.note(
                    f"{row.name} at {trial.name}: dev {score.name} {found[trial.name]:.4f}"
                )
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
        seeds, score = self._seeds("test", self._test_seeds), self._task.score
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
                        self._given_theta(row, theta) or self.initial_theta(row, results),
                        together,
                        ["dev", "test"] if row.trained_on == "train" else ["test"],
                        progress.steps,
                        functools.partial(_numbered, on_lesson, row, seeds),
                        observe=row.trained_on == "train",
                    )
                    # Last, so that an interruption never leaves one that is half written down.
                    for seed, student in zip(together, found, strict=True):
                        students[str(seed)] = student
                        value = student[score.scored("test")]
                        progress.note(f"{row.name}: test {score.name} {value:.4f}")
                    results["seconds"]["comparison"] += time.perf_counter() - begun
                    save()
        self._summarise(results)

    def _summarise(self, results: dict[str, Any]) -> None:
        rows, score = results["rows"], self._task.score
        for row in self.rows:
            students = rows[row.name]["students"].values()
            trial = self.best_trial(row, results)
            dev = [score.of(s, "dev") for s in students if score.scored("dev") in s]
            rows[row.name] |= {
                "learning_rate": trial.learning_rate,
                **({"variant": trial.variant} if trial.variant else {}),
                "trials": len(row.trials),
                score.field("test"): summary([score.of(student, "test") for student in students]),
                score.field("dev"): summary(dev) if dev else None,
                "seconds": summary([student["seconds"] for student in students]),
            }
        if self._baseline in rows:
            results["baseline"] = self._baseline
            theirs = rows[self._baseline]["students"]
            for row in self.rows:
                ours = rows[row.name]["students"]
                if row.name != self._baseline:
                    rows[row.name]["difference"] = paired_difference(
                        [score.of(ours[seed], "test") for seed in theirs],
                        [score.of(theirs[seed], "test") for seed in theirs],
                    )
        results["table"] = table(results)

    def _seeds(self, role: str, count: int) -> list[int]:
        return [student_seed(role, index, self._run_seed) for index in range(count)]

    def _given_theta(
        self, row: Row, theta: Mapping[str, list[tf.Tensor]] | None
    ) -> list[tf.Tensor]:
        return [] if theta is None else theta.get(row.name, [])

    def _initial_theta(self, row: Row, trial: Trial) -> list[tf.Tensor]:
        teacher = self._teachers[row.name, trial.variant]
        variables = teacher.trainable_variables if teacher is not None else []
        return [tf.convert_to_tensor(v) for v in variables]

    def _build_teacher(self, loss: AnyLoss, build: BuildTeacher | None) -> keras.Model | None:
        if build is None:
            return None
        assert isinstance(loss, Loss)
        return build(self._task.coefficient_shapes(loss), len(self._task.feature_names))

    def _estimate(
        self, results: Mapping[str, Any], on_steps: Callable[[int], None]
    ) -> list[list[float]]:
        """Trains a student on the labels as they are, and asks it for those of the dev data."""
        assert self._shown_by is not None
        teaching = self.best_teaching(self._shown_by, results)
        (lesson, *_) = teaching.roll_out_each([], self._seeds("search", 1), on_steps=on_steps)
        found = self._task.mean_probabilities(lesson.rollout.state, "dev").tolist()
        # The chief's, which results.json keeps: rounding may differ between machines.
        return self._replicas.workers.gather(found)[0]

    def _teach(
        self,
        row: Row,
        trial: Trial,
        stage: int,
        estimates: Mapping[str, Any] | None = None,
        num_steps: int | None = None,
    ) -> Teaching:
        # Only where dev data is trained on, a part of it is kept for the search.
        stage = _TABLE if row.trained_on == "train" else stage
        budget = dataclasses.replace(self._budget, num_steps=num_steps or self._budget.num_steps)
        key = (row.name, trial.name, stage, budget.num_steps)
        if key not in self._teaching:
            loss, _ = row.variants[trial.variant]
            if isinstance(loss, EstimatedLoss):
                assert estimates is not None
                loss = loss(np.array(estimates[row.name]))
            recipe = row.recipe or self._recipe
            task = self._tasks[row.trained_on][stage]
            self._teaching[key] = Teaching(
                task,
                loss,
                recipe(trial.learning_rate, budget.num_steps),
                budget,
                self._teachers[row.name, trial.variant],
                warm_start=self._warm_start(task, recipe),
                replicas=self._replicas,
                **self._engine,
            )
        return self._teaching[key]

    def _warm_start(self, task: Task, recipe: Recipe) -> WarmStart | None:
        """Returns the same one for all rows and trials that begin alike."""
        budget = self._budget
        if not budget.warm_start_steps:
            return None
        key = id(task), recipe
        if key not in self._warm_starts:
            if budget.warm_start_batch_size is not None:
                task = task.with_batches_of(budget.warm_start_batch_size)
            teaching = Teaching(
                task,
                task.likelihood,
                recipe(budget.warm_start_learning_rate, budget.num_steps),
                budget.of_warm_start,
                replicas=self._replicas,
                jit_compile=self._engine.get("jit_compile", False),
            )
            seeds = self._seeds("search", self._search_seeds), self._seeds("test", self._test_seeds)
            self._warm_starts[key] = WarmStart(
                teaching, self._warm_starts_kept, self._warm_start_store, itertools.chain(*seeds)
            )
        return self._warm_starts[key]


def _numbered(
    on_lesson: OnLesson | None, row: Row, seeds: list[int], seed: int, lesson: Lesson
) -> None:
    if on_lesson:
        on_lesson(row, seeds.index(seed), lesson)
