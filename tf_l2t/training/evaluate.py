"""A row of a comparison, and a student of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.losses.base import Loss
from tf_l2t.training.rollout import Lesson, Teaching


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the comparison: a loss, and the learning rates to try for it on dev.

    Attributes:
        name: as the table shows it.
        loss: the loss.
        learning_rates: peak learning rates; the best on dev is used. Every row of a
            configuration should have as many.
        teacher: builds a teacher that sets the coefficients and is not trained, such as
            `fixed_teacher`; None for a fixed loss.
    """

    name: str
    loss: Loss
    learning_rates: Sequence[float]
    teacher: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not self.learning_rates:
            raise ValueError(f"Row {self.name!r}: learning_rates is empty; give at least one.")
        if any(rate <= 0 for rate in self.learning_rates):
            raise ValueError(
                f"Row {self.name!r}: learning_rates must be positive, got {self.learning_rates}."
            )


def train_and_score(
    teaching: Teaching,
    theta: list[tf.Tensor],
    seeds: Sequence[int],
    splits: Sequence[str],
    on_steps: Callable[[int], None] | None = None,
    on_lesson: Callable[[int, Lesson], None] | None = None,
) -> list[dict[str, Any]]:
    """Trains the students of some seeds, spread over all replicas, and measures them.

    Args:
        teaching: how they are taught.
        theta: the teacher's parameters; [] without a teacher.
        seeds: one a student.
        splits: what to measure them on.
        on_steps: called with numbers of student steps done.
        on_lesson: called with seed and lesson of each student that this process trained.

    Returns:
        {"seconds": …, "training_loss": …, "segment_starts": …, "dev_accuracy": …, …} for each
        seed, with every score of every split; seconds of wall time, shared with the students
        that were trained side by side.
    """
    found: dict[int, dict[str, Any]] = {}
    for here in teaching.replicas.share(seeds):
        if not here:
            continue
        start = time.perf_counter()
        lessons = teaching.roll_out_each(theta, here, on_steps=on_steps)
        lessons[-1].rollout.state.weights[-1].numpy()
        seconds = time.perf_counter() - start
        scores = {split: teaching.evaluate_each(lessons, split) for split in splits}
        for k, (seed, lesson) in enumerate(zip(here, lessons, strict=True)):
            if on_lesson:
                on_lesson(seed, lesson)
            found[seed] = {
                "seconds": seconds,
                "training_loss": lesson.training_loss,
                "segment_starts": lesson.steps,
                **{
                    f"{split}_{name}": value
                    for split in splits
                    for name, value in scores[split][k].items()
                },
            }
    for others in teaching.replicas.workers.gather([[*item] for item in found.items()]):
        found |= dict(others)
    return [found[seed] for seed in seeds]
