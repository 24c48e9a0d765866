"""A row of a comparison, and a student of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses.base import Loss
from tf_l2t.training.rollout import Lesson, Teaching
from tf_l2t.training.stopwatch import Stopwatch
from tf_l2t.types import StudentState


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
    seed: int,
    splits: Sequence[str],
    on_steps: Callable[[int], None] | None = None,
    *,
    observe: bool = False,
) -> tuple[dict[str, Any], Lesson]:
    """Trains the student of a seed and measures it.

    Args:
        teaching: how it is trained.
        theta: the teacher's parameters; [] without a teacher.
        seed: of the student.
        splits: what it is measured on at its end.
        on_steps: called with numbers of steps done.
        observe: whether to note its accuracies at the start of each segment, as a teacher sees
            them, without a teacher too. "seconds" leaves out what this costs.

    Returns:
        {"seconds": …, "dev_accuracy": …, …} with every score of every split, and the lesson.
    """
    observed: list[tf.Tensor] = []
    stopwatch = Stopwatch()

    def on_segment(_: Segment, before: StudentState) -> None:
        with stopwatch("observing"):
            observed.append(teaching.task.observe(before).numpy())

    blind = teaching.teacher is None
    start = time.perf_counter()
    lesson = teaching.roll_out(
        theta, seed, on_steps=on_steps, on_segment=on_segment if observe and blind else None
    )
    tf.nest.map_structure(lambda tensor: tensor.numpy(), lesson.rollout.state.weights[-1])
    seconds = time.perf_counter() - start - stopwatch.seconds.get("observing", 0.0)
    result: dict[str, Any] = {"seconds": seconds}
    for split in splits:
        scores = teaching.task.evaluate(lesson.rollout.state, split)
        result |= {f"{split}_{name}": value for name, value in scores.items()}
    if observe:
        seen = observed if blind else [vector[1:].numpy() for vector in lesson.state_vectors]
        names = teaching.task.feature_names[1:]
        for name in ("training accuracy", "dev accuracy"):
            if name in names:
                values = [float(vector[names.index(name)]) for vector in seen]
                result[f"observed_{name.replace(' ', '_')}"] = values
    return result, lesson
