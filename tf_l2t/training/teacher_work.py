"""How much there is to do in the training of a teacher."""

from __future__ import annotations

import dataclasses

from tf_l2t.training.rollout import Teaching
from tf_l2t.training.teacher_step import TeacherSchedule


@dataclasses.dataclass(frozen=True)
class TeacherWork:
    """Counts student steps, forward and in reverse, of a teacher's training without refusals.

    Attributes:
        schedule: of the teacher's training.
        teaching: of students at full length.
    """

    schedule: TeacherSchedule
    teaching: Teaching

    @property
    def whole(self) -> int:
        """Student steps of the whole training, its last selection among them."""
        return self.until(self.schedule.num_steps) + self._selected(1)

    def until(self, teacher_steps: int) -> int:
        """Returns the student steps of the first so many teacher steps."""
        forward = self.schedule.students_per_step * sum(self._lengths(teacher_steps))
        return (
            forward + self.reversed(teacher_steps) + self._selected(self._selections(teacher_steps))
        )

    def reversed(self, teacher_steps: int) -> int:
        """Returns how many of these are reversed."""
        recorded = map(self.teaching.recorded_steps, self._lengths(teacher_steps))
        return self.schedule.students_per_step * sum(recorded)

    @property
    def kept(self) -> int:
        """How many student steps of the whole are of warm starts that were made before.

        Those of the selection students, and of students that are taught again.
        """
        schedule = self.schedule
        students = schedule.num_steps * schedule.students_per_step
        again = max(0, students - (schedule.num_students or students))
        again += schedule.selection_students * self._selections(schedule.num_steps)
        return again * self.teaching.budget.warm_start_steps

    def student_steps(self, teacher_step: int) -> int:
        """Returns T of the students of a teacher step."""
        return self.schedule.student_steps(teacher_step, self.teaching.budget)

    def _lengths(self, teacher_steps: int) -> list[int]:
        return [self.student_steps(step) for step in range(teacher_steps)]

    def _selections(self, teacher_steps: int) -> int:
        return -(-teacher_steps // self.schedule.select_every)

    def _selected(self, selections: int) -> int:
        return self.teaching.budget.num_steps * self.schedule.selection_students * selections
