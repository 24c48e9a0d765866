"""The records of a teacher's training: its schedule, its steps, and its state between them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tf_l2t.checks import whole_number
from tf_l2t.training.budget import Budget


@dataclasses.dataclass(frozen=True)
class TeacherStep:
    """What happened in one teacher step; `None` where it was not measured.

    Attributes:
        step: number of the teacher step, from 0.
        measure: mean dev measure of the students that θ taught.
        score: their mean dev score.
        norm: mean norm of the believed hypergradients, before clipping.
        amplification: largest |λ_0|/|λ_T|.
        refused: why hypergradients were refused, one sentence each.
        taken: whether θ was changed.
        scale: of the step.
        selection: mean dev score of the selection students, taught by θ before the step.
        seconds: wall time of each phase; no two runs have the same.
        student_steps: T of the students that θ taught; earlier versions did not say.
    """

    step: int
    measure: float
    score: float
    norm: float | None
    amplification: float
    refused: tuple[str, ...]
    taken: bool
    scale: float
    selection: float | None
    seconds: dict[str, float] = dataclasses.field(default_factory=dict, compare=False)
    student_steps: int | None = None


class Snapshot(NamedTuple):
    """The state of a `TeacherTrainer` between two steps, as a checkpoint holds it."""

    arrays: dict[str, np.ndarray]
    record: dict[str, Any]
    """JSON."""


class Measured(NamedTuple):
    """What a student and its hypergradient were like."""

    student: int
    measure: float
    score: float
    norm: float
    amplification: float


def check_arrays(arrays: dict[str, np.ndarray], groups: dict[str, list[keras.Variable]]) -> None:
    """Checks that the arrays of a snapshot are of these variables, by the names of their groups.

    Raises:
        ValueError: if one is missing, too many, or of another shape or dtype.
    """
    wanted = {
        f"{name}/{i}": (tuple(variable.shape), str(variable.dtype))
        for name, variables in groups.items()
        for i, variable in enumerate(variables)
    }
    found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    for name in sorted({*wanted, *found}):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"it is of another teacher or optimizer: {name} is {found.get(name, 'not there')} "
                f"instead of {wanted.get(name, 'not there')}"
            )


@dataclasses.dataclass(frozen=True)
class TeacherSchedule:
    """How long a teacher is trained.

    Attributes:
        num_steps: teacher steps at most.
        students_per_step: students whose hypergradients are averaged in a step.
        num_students: how many different students are taught, in turn; with a long warm start,
            which is then made once for each, a few cost far less than fresh ones at every step,
            which is what None means.
        select_every: teacher steps between two evaluations of θ on the selection students.
        selection_students: how many of these; the same ones each time.
        patience: evaluations without a better teacher that end the training; no end if None.
        growth: fractions of T, rising to 1, each for an equal share of the teacher steps: what θ
            learns from shorter students, whose learning rate and t/T run their whole course, costs
            less. Selection students always train for T. None teaches all students for T.

    Raises:
        ValueError: for a number that is too small, or a growth that does not end at T.

    Example:
        >>> schedule = TeacherSchedule(num_steps=9, growth=(0.25, 0.5, 1))
        >>> [schedule.student_steps(step, Budget(400)) for step in (0, 3, 6)]  # [100, 200, 400]
    """

    num_steps: int = 30
    students_per_step: int = 1
    num_students: int | None = None
    select_every: int = 5
    selection_students: int = 2
    patience: int | None = None
    growth: Sequence[float] | None = None

    def __post_init__(self) -> None:
        whole_number("TeacherSchedule", "num_steps", self.num_steps, 0)
        for name in ("students_per_step", "select_every", "selection_students"):
            whole_number("TeacherSchedule", name, getattr(self, name), 1)
        if self.patience is not None:
            whole_number("TeacherSchedule", "patience", self.patience, 1, "None is no end")
        if self.num_students is not None:
            whole_number(
                "TeacherSchedule", "num_students", self.num_students, self.students_per_step
            )
        if self.growth is None:
            return
        rising = [0.0, *self.growth] if isinstance(self.growth, Sequence) else []
        if rising[-1:] != [1] or not all(a < b for a, b in itertools.pairwise(rising)):
            raise ValueError(
                "TeacherSchedule: growth must be fractions of T that rise to 1, such as "
                f"(0.25, 0.5, 1), got {self.growth}; for students that never train for T, give a "
                "shorter Experiment.teacher_budget."
            )
        if self.num_steps < len(self.growth):
            raise ValueError(
                f"TeacherSchedule: num_steps={self.num_steps} is less than one for each fraction "
                f"of growth={self.growth}; take more teacher steps, or fewer fractions."
            )

    def student_steps(self, step: int, budget: Budget) -> int:
        """Returns T of the students of a teacher step: whole segments, or all of the budget.

        Args:
            step: number of the teacher step, from 0.
            budget: of students at full length.
        """
        if self.growth is None:
            return budget.num_steps
        stages = len(self.growth)
        return _whole_segments(
            self.growth[min(step * stages // self.num_steps, stages - 1)], budget
        )

    @property
    def taught_again(self) -> int:
        """How many students are trained more than once: those in turn, and those of selections."""
        return (self.num_students or 0) + self.selection_students

    def check(self, budget: Budget, truncate: int | None = None) -> None:
        """Checks that students of a budget can grow as the schedule says.

        Args:
            budget: of students at full length.
            truncate: steps of each that are reversed; all if None.

        Raises:
            ValueError: if they begin with a warm start, do not grow by whole segments, or are
                reversed to where their state is not observed.
        """
        if self.growth is not None:
            self._check_growth(budget)
        for length in {self.student_steps(step, budget) for step in range(self.num_steps)}:
            dataclasses.replace(budget, num_steps=length).check_truncation(truncate)

    def _check_growth(self, budget: Budget) -> None:
        assert self.growth is not None
        if budget.warm_start_steps:
            raise ValueError(
                f"TeacherSchedule: growth={self.growth} cannot shorten students of "
                f"warm_start_steps={budget.warm_start_steps}, whose warm start is a part of the "
                "whole course of T; leave out growth or the warm start."
            )
        lengths = [_whole_segments(fraction, budget) for fraction in self.growth]
        if any(a >= b for a, b in itertools.pairwise([0, *lengths])):
            raise ValueError(
                f"TeacherSchedule: growth={self.growth} of num_steps={budget.num_steps} gives "
                f"students of {lengths} steps, in segments of observe_every="
                f"{budget.observe_every}; take fractions that are further apart, or shorter "
                "segments."
            )


def _whole_segments(fraction: float, budget: Budget) -> int:
    if fraction == 1:
        return budget.num_steps
    return budget.observe_every * round(fraction * budget.num_steps / budget.observe_every)
