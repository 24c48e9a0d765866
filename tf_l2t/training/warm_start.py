"""Students as they are after their warm start, which all losses share."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tf_l2t.types import StudentState

if TYPE_CHECKING:
    from tf_l2t.training.rollout import Teaching


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
        most: students that are kept, the last ones used.
    """

    def __init__(self, teaching: Teaching, most: int = 16) -> None:
        self.num_steps = teaching.budget.num_steps
        self._teaching = teaching
        self._most = most
        self._kept: collections.OrderedDict[int, Warmed] = collections.OrderedDict()

    def __call__(
        self, seeds: Sequence[int], on_steps: Callable[[int], None] | None = None
    ) -> list[Warmed]:
        """Returns the students of some seeds, trained side by side where they are new.

        Args:
            seeds: one a student, at most `replicas.students_at_once`.
            on_steps: called with numbers of student steps, kept ones among them.
        """
        missing = [seed for seed in dict.fromkeys(seeds) if seed not in self._kept]
        found = {seed: self._kept[seed] for seed in seeds if seed in self._kept}
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
                self._kept[seed] = Warmed(state._replace(slots=()), seconds)
        for seed in seeds:
            self._kept.move_to_end(seed)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return [found[seed] for seed in seeds]
