"""The records of a teacher's training: its schedule, its steps, and its state between them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from tf_l2t.checks import whole_number


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
    """

    num_steps: int = 30
    students_per_step: int = 1
    num_students: int | None = None
    select_every: int = 5
    selection_students: int = 2
    patience: int | None = None

    def __post_init__(self) -> None:
        whole_number("TeacherSchedule", "num_steps", self.num_steps, 0)
        for name in ("students_per_step", "select_every", "selection_students", "patience"):
            if (value := getattr(self, name)) is not None:
                whole_number("TeacherSchedule", name, value, 1)
        if self.num_students is not None:
            whole_number(
                "TeacherSchedule", "num_students", self.num_students, self.students_per_step
            )
