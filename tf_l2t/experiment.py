"""The composition root: everything that a configuration names, built and run."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import gin
import keras
import tensorflow as tf

from tf_l2t import plots
from tf_l2t.checks import instance_of, positive, whole_number
from tf_l2t.gin_names import register_gin_names
from tf_l2t.losses.base import Loss
from tf_l2t.runtime.checkpoints import Checkpoints
from tf_l2t.runtime.cluster import check_same_setup, chiefs_checkpoint
from tf_l2t.runtime.export import export_student
from tf_l2t.runtime.files import write_text
from tf_l2t.runtime.frozen_row import conditions, frozen_row
from tf_l2t.runtime.loaded_teacher import LoadedTeacher
from tf_l2t.runtime.plan import announce, plan_trajectory
from tf_l2t.runtime.resumption import resumed
from tf_l2t.runtime.run_directory import RunDirectory
from tf_l2t.runtime.strategy import Distribution
from tf_l2t.runtime.summaries import Summaries
from tf_l2t.runtime.taught_student import TaughtStudent
from tf_l2t.runtime.teacher_record import trained_teacher_record
from tf_l2t.runtime.teacher_run import train_teacher
from tf_l2t.runtime.watch import Watch
from tf_l2t.tasks.task import Task
from tf_l2t.training.budget import Budget
from tf_l2t.training.comparison import Comparison
from tf_l2t.training.lesson import Lesson
from tf_l2t.training.recipe import Recipe
from tf_l2t.training.rows import Row
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.statistics import comma_separated
from tf_l2t.training.teacher_trainer import TeacherSchedule, TeacherTrainer, check_learns
from tf_l2t.training.trust_region import TrustRegion
from tf_l2t.training.warm_start import WarmStartStore

register_gin_names()

TAUGHT = "taught"


@gin.configurable(module="tf_l2t", denylist=["distribution", "warm_starts"])
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
        budget: how long every student of the table is trained.
        recipe: how every student is optimised whose row has no recipe of its own.
        learning_rates: peak learning rates of students to try for the taught loss.
        teacher_learning_rate: that of the students that the teacher learns from; the rates are
            then tried with the teacher that has learned. None takes the one of `learning_rates`
            that is best with the teacher as it starts, for all its students.
        rows: what the taught students are compared with.
        teacher_task: the problem that the teacher learns on, if it is another one: of the same
            source with a larger `dev_size`, for example, which a teacher overfits less, and with
            `reserved`, so that it never sees the dev images of `task`.
        teacher_budget: how long the students that the teacher learns from are trained, if not
            `budget`; shorter ones cost less.
        baseline: name of the row that the others are tested against, seed by seed; "cross
            entropy" if None and there is such a row.
        search_seeds: students that a learning rate is tried on.
        test_seeds: students of each row of the table.
        seed: of the run, from 0 to 49; two runs of different seeds share no student.
        checkpoint_every: teacher steps between two checkpoints.
        distribution: the devices that work is spread over.
        storage: where a rollout waits for its reverse pass, see `Engine`; "auto" takes the
            fastest policy that half of what is free has room for.
        truncate: reverse through the last so many steps only; through all if None.
        jit_compile: whether XLA compiles the training of students.
        watch: what TensorBoard and the figures show of Φ; the defaults of `Watch` if None.
        warm_starts: keeps those of the students beyond this process.

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
        teacher_learning_rate: float | None = None,
        teacher_task: Task | None = None,
        teacher_budget: Budget | None = None,
        baseline: str | None = None,
        search_seeds: int = 1,
        test_seeds: int = 3,
        seed: int = 0,
        checkpoint_every: int = 1,
        distribution: Distribution | None = None,
        storage: str = "auto",
        truncate: int | None = None,
        jit_compile: bool = False,
        watch: Watch | None = None,
        warm_starts: WarmStartStore | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"Experiment: name must be text, such as 'lenet', got {name!r}.")
        watch = Watch() if watch is None else watch
        for argument, value, kind in (
            ("task", task, Task),
            ("loss", loss, Loss),
            ("optimizer", optimizer, keras.optimizers.Optimizer),
            ("teacher_schedule", teacher_schedule, TeacherSchedule),
            ("trust_region", trust_region, TrustRegion),
            ("budget", budget, Budget),
            ("recipe", recipe, Recipe),
            ("watch", watch, Watch),
            ("teacher_task", teacher_task or task, Task),
            ("teacher_budget", teacher_budget or budget, Budget),
            *(("rows", row, Row) for row in rows),
        ):
            instance_of("Experiment", argument, value, kind)
        whole_number("Experiment", "search_seeds", search_seeds, 1)
        whole_number("Experiment", "test_seeds", test_seeds, 1)
        whole_number("Experiment", "checkpoint_every", checkpoint_every, 1)
        if teacher_learning_rate is not None:
            remedy = "use one of learning_rates, or None."
            positive("Experiment", "teacher_learning_rate", teacher_learning_rate, remedy)
        student_seed("test", 0, seed)
        self.name = name
        self._task = task
        self._loss = loss
        self._optimizer = optimizer
        self._teacher_schedule = teacher_schedule
        self._trust_region = trust_region
        self._budget = budget
        self._teacher_budget = teacher_budget or budget
        self._teacher_task = teacher_task or task
        self._truncate = truncate
        task.check_teacher_task(self._teacher_task)
        self._recipe = recipe
        names = [row.name for row in rows]
        if baseline is not None and baseline not in [*names, TAUGHT]:
            raise ValueError(f"Experiment: baseline must name a row, {names}, got {baseline!r}.")
        self._seed = seed
        self._checkpoint_every = checkpoint_every
        self._teacher_learning_rate = teacher_learning_rate
        self._rows = rows
        self.replicas = (distribution or Distribution()).replicas
        self._warm_starts = warm_starts
        self._watch = watch
        watch.check(len(task.class_names))
        self._taught = Row(TAUGHT, loss, learning_rates, teacher)
        rule = recipe(learning_rates[0], self._teacher_budget.num_steps)
        self._trajectory = plan_trajectory(
            storage, self._teacher_task, loss, rule, self._teacher_budget, truncate, self.replicas
        )
        self._new_comparison = functools.partial(
            Comparison,
            recipe=recipe,
            search_seeds=search_seeds,
            test_seeds=test_seeds,
            run_seed=seed,
            baseline=baseline or "cross entropy",
            taught_again=teacher_schedule.taught_again,
            replicas=self.replicas,
            warm_starts=warm_starts,
            engine={
                "storage": self._trajectory.engine_storage,
                "truncate": truncate,
                "jit_compile": jit_compile,
            },
        )
        self._comparison = self._new_comparison(task, [*rows, self._taught], budget)
        self._lessons = self._comparison
        if teacher_task or teacher_budget:
            self._lessons = self._new_comparison(
                self._teacher_task, [self._taught], self._teacher_budget
            )

    def prepare_training(self) -> Callable[..., dict[str, Any]]:
        """Returns what trains the teacher in a run directory, and compares.

        Raises:
            ValueError: if there is no room for the trajectories of its students, these cannot
                grow or be truncated so, or the teacher has nothing to learn.
        """
        schedule, budget = self._teacher_schedule, self._teacher_budget
        schedule.check(budget, self._truncate)
        for length in {schedule.student_steps(k, budget) for k in range(schedule.num_steps)}:
            self._recipe(self._taught.learning_rates[0], length)
        check_learns(self._lessons.any_teaching(self._taught).teacher)
        self._trajectory.check()
        return Experiment.train

    def train(self, directory: RunDirectory) -> dict[str, Any]:
        """Trains the teacher and compares, or goes on with it; returns what results.json holds.

        Raises:
            RunDirectoryError: if results.json is damaged, or of other data.
            CorruptCheckpointError: if no checkpoint can be used; nothing is touched then.
        """
        check_same_setup(self.replicas, self._given())
        checkpoints = Checkpoints(directory.checkpoints)
        trainer = self._teacher_trainer()
        workers = self.replicas.workers
        newest = chiefs_checkpoint(workers, checkpoints.newest(trainer.restore))
        if newest and workers.index > 0:
            trainer.restore(*newest)

        def work(results: dict[str, Any], summaries: Summaries) -> None:
            save = lambda: directory.write_results(results)
            announce(results, self._comparison, self._trajectory, trainer)
            rate = self._teacher_learning_rate
            self._comparison.search(results, save, left_out=self._taught if rate else None)
            rate = rate or self._comparison.best_trial(self._taught, results).learning_rate
            trainer.shorter = functools.partial(self._lessons.teaching_at, self._taught, rate)
            trainer.teaching = trainer.shorter(self._teacher_budget.num_steps)
            summaries.resume(len(trainer.history))
            train_teacher(
                trainer,
                checkpoints,
                results,
                directory,
                summaries,
                self._checkpoint_every,
                functools.partial(
                    trained_teacher_record,
                    self._loss,
                    self._teacher_task,
                    self._teacher_budget,
                    self._recipe,
                    rate,
                    directory.config,
                ),
            )
            if trainer.failure:
                results["status"] = "stopped"
                return
            self._comparison.search(results, save, {TAUGHT: trainer.best_theta})
            self._compare(self._comparison, trainer.best_theta, results, directory, summaries)

        return self._run(directory, work, "train")

    def prepare_comparison(self, teacher: LoadedTeacher | None) -> Callable[..., dict[str, Any]]:
        """Returns what compares the losses in a run directory, a loaded teacher's among them.

        Raises:
            ValueError: if the teacher does not fit the task.
        """
        rows = [*self._rows, self._frozen(teacher)] if teacher else list(self._rows)
        if not rows:
            raise ValueError("Experiment: rows is empty and there is no teacher to compare.")
        return self._prepare(rows, teacher, "compare")

    def prepare_lessons(self, teacher: LoadedTeacher) -> Callable[..., dict[str, Any]]:
        """Returns what teaches students in a run directory, θ fixed, and saves each.

        Raises:
            ValueError: if the teacher does not fit the task.
        """
        if self.replicas.workers.count > 1:
            raise ValueError(
                "Distribution: strategy='multi_worker' would leave students on other machines; "
                "use 'mirrored' or 'none' for tf_l2t.teach."
            )
        return self._prepare([self._frozen(teacher)], teacher, "teach")

    def _prepare(
        self, rows: list[Row], teacher: LoadedTeacher | None, command: str
    ) -> Callable[..., dict[str, Any]]:
        comparison = self._new_comparison(self._task, rows, self._budget)

        def run(_: Experiment, directory: RunDirectory) -> dict[str, Any]:
            check_same_setup(self.replicas, self._given(teacher))

            def work(results: dict[str, Any], summaries: Summaries) -> None:
                announce(results, comparison, self._trajectory)
                comparison.search(results, lambda: directory.write_results(results))
                students = directory.students if command == "teach" else None
                self._compare(comparison, [], results, directory, summaries, students)

            return self._run(directory, work, command, teacher)

        return run

    def _frozen(self, teacher: LoadedTeacher) -> Row:
        task, budget, rates = self._task, self._budget, self._taught.learning_rates
        observed = task.observed_examples, budget.observe_every, budget.warm_start_steps
        here = conditions(self._loss, *observed)
        return frozen_row(TAUGHT, teacher, task.class_names, rates, here)

    def _run(
        self,
        directory: RunDirectory,
        work: Callable[[dict[str, Any], Summaries], None],
        command: str,
        teacher: LoadedTeacher | None = None,
    ) -> dict[str, Any]:
        results = resumed(
            directory,
            self.replicas.workers,
            {"command": command, **self._given(teacher)},
            name=self.name,
            score=self._task.score.name,
            budget=dataclasses.asdict(self._budget),
            teacher_budget=dataclasses.asdict(self._teacher_budget),
        )
        if self._warm_starts:
            self._warm_starts.used |= results.get("warm_starts", {})
            results["warm_starts"] = self._warm_starts.used
        summaries = Summaries(
            directory.tensorboard, self._task.class_names, self._watch, self._task.score
        )
        try:
            work(results, summaries)
            if results["status"] == "running":
                results["status"] = "complete"
        except KeyboardInterrupt:
            results["status"] = "interrupted"
            raise
        finally:
            try:
                directory.write_results(results)
            finally:
                summaries.close()
        if self.replicas.workers.index == 0:
            plots.write_figures(directory.path, self._watch.class_pairs)
        # No worker ends before the others: they would take it for dead.
        self.replicas.workers.gather("done")
        return results

    def _given(self, teacher: LoadedTeacher | None = None) -> dict[str, Any]:
        """Returns what a run cannot go on without."""
        taught_by = {"path": str(teacher.path), "sha256": teacher.digest} if teacher else None
        data, teacher_data = self._task.describe(), self._teacher_task.describe()
        return {"data": data, "teacher_data": teacher_data, "taught_by": taught_by}

    def _teacher_trainer(self) -> TeacherTrainer:
        """Returns the trainer at any of the learning rates; they share data and teacher."""
        return TeacherTrainer(
            self._lessons.any_teaching(self._taught),
            self._optimizer,
            self._teacher_schedule,
            self._trust_region,
            self._seed,
        )

    def _compare(
        self,
        comparison: Comparison,
        theta: list[tf.Tensor],
        results: dict[str, Any],
        directory: RunDirectory,
        summaries: Summaries,
        students: pathlib.Path | None = None,
    ) -> None:
        """Trains the students of the table, and keeps what the first taught one was told."""

        def on_lesson(row: Row, index: int, lesson: Lesson) -> None:
            if row.name != TAUGHT:
                return
            if index == 0:
                teaching = comparison.best_teaching(row, results)
                told = [teaching.explain(theta, s) for s in lesson.state_vectors]
                vectors = [s.numpy() for s in lesson.state_vectors]
                student = TaughtStudent.collect(lesson.steps, vectors, told)
                summaries.student(student, self._task.feature_names)
                student.save(directory.coefficients)
            if students is not None:
                model = self._task.model(lesson.rollout.state)
                export_student(model, students / f"student-{index}")

        def save() -> None:
            directory.write_results(results)
            summaries.students(results["rows"])

        comparison.run(results, save, {TAUGHT: theta}, on_lesson)
        summaries.students(results["rows"])
        write_text(directory.markdown, results["table"] + "\n")
        write_text(directory.csv, comma_separated(results))
