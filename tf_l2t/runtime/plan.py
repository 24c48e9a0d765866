"""What a run will take, said before it begins: student steps, memory and, where known, time."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping
from typing import Any

from tf_l2t.checks import one_of
from tf_l2t.differentiation.plan import (
    AUTO,
    Need,
    Room,
    StateBytes,
    choose,
    fits,
    needs,
    state_bytes,
)
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.differentiation.workers import Workers
from tf_l2t.losses.base import Loss
from tf_l2t.runtime.room import room
from tf_l2t.tasks.task import Task
from tf_l2t.training.budget import Budget
from tf_l2t.training.comparison import Comparison
from tf_l2t.training.pace import measure_pace
from tf_l2t.training.teacher_trainer import TeacherTrainer


@dataclasses.dataclass(frozen=True)
class TrajectoryPlan:
    """What a teacher's students will hold for their reverse passes.

    Attributes:
        storage: the policy: the one that was asked for or, for "auto", the fastest that fits.
        weights: number of weights of a student.
        state: bytes of a state of it.
        num_steps: steps that are recorded.
        students: how many are trained side by side.
        needs: of one student, by policy.
        room: what is free; in a cluster what the worker with the least has.
    """

    storage: str
    weights: int
    state: StateBytes
    num_steps: int
    students: int
    needs: Mapping[str, Need]
    room: Room

    def check(self) -> None:
        """Raises ValueError if "auto" found no policy that fits."""
        if self.storage != AUTO:
            return
        least = self.needs["recompute"]
        raise ValueError(
            f"Experiment: storage='auto' finds no room for the trajectory of {self.num_steps} "
            f"steps of {_bytes(self.state.saved)}: the least memory, {_bytes(self.total(least))}, "
            f"is taken by 'recompute', and half of what is free may be "
            f"({_free(self.room, least)}). Set Experiment.truncate, shorten the students "
            "(Budget.num_steps) or their segments (Budget.observe_every), make room, or name a "
            "storage to try all the same."
        )

    def total(self, need: Need) -> int:
        """Returns the bytes of all students that are trained side by side."""
        return self.students * (need.device + need.host + need.disk)

    @property
    def engine_storage(self) -> str:
        """The policy for `Engine`, one that it knows even where none fits."""
        return "recompute" if self.storage == AUTO else self.storage

    def describe(self) -> dict[str, Any]:
        """Returns what results.json says of it."""
        need = self.needs[self.engine_storage]
        return {
            "storage": self.engine_storage,
            "bytes_a_step": self.state.saved,
            "recorded_steps": self.num_steps,
            "students_side_by_side": self.students,
            "peak_bytes": self.total(need) - self.students * need.disk,
            "disk_bytes": self.students * need.disk,
        }

    def __str__(self) -> str:
        """Returns it in a line."""
        need = self.needs[self.engine_storage]
        disk = f", {_bytes(self.students * need.disk)} of files" if need.disk else ""
        memory = _bytes(self.total(need) - self.students * need.disk)
        much = "" if fits(need, self.room, self.students) else "; it may not fit"
        return (
            f'storage "{self.engine_storage}", {_bytes(self.state.saved)} a step: {memory} in '
            f"memory{disk} ({_free(self.room, need)} are free{much})"
        )


def plan_trajectory(
    storage: str,
    task: Task,
    loss: Loss,
    update_rule: UpdateRule,
    budget: Budget,
    truncate: int | None,
    replicas: Replicas,
) -> TrajectoryPlan:
    """Returns the plan for the students that a teacher learns from; "auto" is decided here.

    All workers of a cluster decide alike, as they must where they share a student: `recompute`
    sums over them more often than the others. Results are those of any policy, so that a run that
    goes on may decide otherwise than it did before.

    Args:
        storage: one of `STORAGE_POLICIES`, or "auto".
        task: of these students.
        loss: what they minimise.
        update_rule: of these students, at any learning rate.
        budget: how long they are trained.
        truncate: how many of their last steps are recorded; all but the warm start if None.
        replicas: the devices.

    Raises:
        ValueError: for an unknown policy.
    """
    one_of("Experiment", "storage", storage, (AUTO, *STORAGE_POLICIES))
    weights, variables = task.initial(seed=0)
    loss_state = loss.initial_state(len(task.class_names), seed=0)
    state = state_bytes(update_rule, weights, variables, loss_state)
    num_steps = budget.num_steps - budget.warm_start_steps
    num_steps = max(1, min(num_steps, truncate or num_steps))
    found, free = needs(state, num_steps, budget.observe_every), _least(room(), replicas.workers)
    if storage == AUTO:
        storage = choose(found, free, replicas.students_at_once) or AUTO
    count = sum(tensor.shape.num_elements() for tensor in weights)
    return TrajectoryPlan(storage, count, state, num_steps, replicas.students_at_once, found, free)


def announce(
    results: dict[str, Any],
    comparison: Comparison,
    trajectory: TrajectoryPlan,
    trainer: TeacherTrainer | None = None,
) -> None:
    """Prints what a run is going to take, and notes it in results.json.

    Time is told at the first start of a run that is long enough to try some steps beforehand;
    the evaluation of students on dev and test comes on top of it.

    Args:
        results: content of results.json; "plan" is set.
        comparison: search and table of the run.
        trajectory: the plan for the teacher's students.
        trainer: of the teacher, where the run trains one.
    """
    search, table = comparison.work()
    steps = {"search": search, "teacher": trainer.work()[0] if trainer else 0, "comparison": table}
    pace = None
    if trainer and "plan" not in results:
        pace = measure_pace(trainer.teaching, trainer.theta, sum(steps.values()))
    seconds = None
    if trainer and pace:
        back, kept = trainer.steps_in_reverse, trainer.planned.kept + comparison.kept_steps
        seconds = pace.forward * (sum(steps.values()) - back - kept) + pace.reverse * back
    results["plan"] = {
        "student_steps": steps,
        "seconds": seconds or results.get("plan", {}).get("seconds"),
        **(trajectory.describe() if trainer else {}),
    }
    if comparison.workers.index > 0:
        return
    print(f"Students of {trajectory.weights:,} weights, in student steps:")
    print(f"    search of learning rates {search:>12,}")
    if trainer:
        print(f"    training of the teacher  {steps['teacher']:>12,}, forward and in reverse")
    print(f"    comparison               {table:>12,}")
    if trainer:
        print(f"    {trajectory}")
    if seconds:
        print(f"    about {_time(seconds)} at the pace of a first try")
    print(flush=True)


def _least(own: Room, workers: Workers) -> Room:
    """Returns the room of the worker with the least, those on one machine sharing what it has."""
    found = workers.gather([socket.gethostname(), *own])
    hosts = [host for host, *_ in found]
    accelerators = [accelerator for _, _, accelerator, _ in found if accelerator is not None]
    return Room(
        min(memory // hosts.count(host) for host, memory, _, _ in found),
        min(accelerators) if accelerators else None,
        min(disk // hosts.count(host) for host, _, _, disk in found),
    )


def _free(room: Room, need: Need) -> str:
    parts = []
    if room.accelerator is not None:
        parts.append(f"{_bytes(room.accelerator)} on the accelerator")
    if room.accelerator is None or need.host:
        parts.append(f"{_bytes(room.memory)} of memory")
    if need.disk:
        parts.append(f"{_bytes(room.disk)} on disk")
    return " and ".join(parts)


def _bytes(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
