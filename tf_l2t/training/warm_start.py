"""Students as they are after their warm start, which all losses share."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from tf_l2t.types import StudentState

if TYPE_CHECKING:
    from tf_l2t.training.rollout import Teaching

MOST_KEPT = 16
"""Students whose warm start is kept where nothing else is said."""


class Warmed(NamedTuple):
    """A student after its warm start."""

    state: StudentState
    kept_seconds: float
    """What its warm start took if it was made before, for another loss or trial; else 0."""


class WarmStart:
    """Trains students to the end of their warm start, and keeps the last ones.

    A warm start depends on the seed and not on the loss that follows, so that a student that is
    trained again, at another learning rate, on another loss or by a teacher that has changed,
    goes on from where it was.

    Args:
        teaching: how students are trained in it; its budget is that of the warm start alone.
        most: students that are kept, in the memory of the host: those that were asked for most
            often, and of these the last ones.
    """

    def __init__(self, teaching: Teaching, most: int = MOST_KEPT) -> None:
        self.num_steps = teaching.budget.num_steps
        self._teaching = teaching
        self._most = most
        self._kept: dict[int, Warmed] = {}
        self._asked: collections.Counter[int] = collections.Counter()

    def __call__(
        self, seeds: Sequence[int], on_steps: Callable[[int], None] | None = None
    ) -> list[Warmed]:
        """Returns the students of some seeds, trained side by side where they are new.

        Args:
            seeds: one a student, at most `replicas.students_at_once`.
            on_steps: called with numbers of student steps, kept ones among them.
        """
        self._asked.update(seeds)
        missing = [seed for seed in seeds if seed not in self._kept]
        found = {seed: self._kept[seed] for seed in seeds if seed in self._kept}
        found = {seed: _on_device(student) for seed, student in found.items()}
        if on_steps and found:
            on_steps(len(found) * self.num_steps)
        if missing:
            start = time.perf_counter()
            lessons = self._teaching.roll_out_each([], missing, on_steps=on_steps)
            # Waits for an accelerator to finish.
            lessons[-1].rollout.state.weights[-1].numpy()
            seconds = time.perf_counter() - start
            for seed, lesson in zip(missing, lessons, strict=True):
                state = lesson.rollout.state
                found[seed] = Warmed(state, 0.0)
                # The slots are those of cross entropy, which nothing after it reads.
                arrays = [
                    [each.numpy() for each in part] for part in (state.weights, state.variables)
                ]
                self._kept[seed] = Warmed(StudentState(arrays[0], (), arrays[1]), seconds)
        while len(self._kept) > self._most:
            # The first of those that were asked for least.
            del self._kept[min(self._kept, key=self._asked.__getitem__)]
        return [found[seed] for seed in seeds]


def _on_device(student: Warmed) -> Warmed:
    return student._replace(state=tf.nest.map_structure(tf.constant, student.state))
