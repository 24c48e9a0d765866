"""Students of a comparison: trained, and measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_l2t.differentiation.segments import Segment
from tf_l2t.training.lesson import Lesson
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.stopwatch import Stopwatch


def train_and_score(
    teaching: Teaching,
    theta: list[tf.Tensor],
    seeds: Sequence[int],
    splits: Sequence[str],
    on_steps: Callable[[int], None] | None = None,
    on_lesson: Callable[[int, Lesson], None] | None = None,
    *,
    observe: bool = False,
) -> list[dict[str, Any]]:
    """Trains the students of some seeds, spread over all replicas, and measures them.

    Args:
        teaching: how they are taught.
        theta: the teacher's parameters; [] without a teacher.
        seeds: one a student.
        splits: what to measure them on at their end.
        on_steps: called with numbers of student steps done.
        on_lesson: called with seed and lesson of each student that this process trained.
        observe: whether to note their scores at the start of each segment, as a teacher sees
            them, without a teacher too.

    Returns:
        {"seconds": …, "training_loss": …, "segment_starts": …, "dev_accuracy": …, …} for each
        seed, with every score of every split. "seconds" is wall time, shared with the students
        that were trained side by side; it leaves out what `observe` costs, and counts a warm
        start that was made before as if it had been made again.
    """
    found: dict[int, dict[str, Any]] = {}
    for here in teaching.replicas.share(seeds):
        for seed, lesson, student in _round(teaching, theta, here, splits, on_steps, observe):
            if on_lesson:
                on_lesson(seed, lesson)
            found[seed] = student
    for others in teaching.replicas.workers.gather([[*item] for item in found.items()]):
        found |= dict(others)
    return [found[seed] for seed in seeds]


def _round(
    teaching: Teaching,
    theta: list[tf.Tensor],
    seeds: Sequence[int],
    splits: Sequence[str],
    on_steps: Callable[[int], None] | None,
    observe: bool,
) -> Iterator[tuple[int, Lesson, dict[str, Any]]]:
    """Trains students side by side."""
    if not seeds:
        return
    observed: list[list[np.ndarray]] = []
    stopwatch = Stopwatch()

    def on_segment(_: Segment, before: Any) -> None:
        with stopwatch("observing"):
            observed.append([vector.numpy() for vector in teaching.observe_each(before, seeds)])

    blind = teaching.teacher is None
    start = time.perf_counter()
    lessons = teaching.roll_out_each(
        theta, seeds, on_steps=on_steps, on_segment=on_segment if observe and blind else None
    )
    lessons[-1].rollout.state.weights[-1].numpy()
    seconds = time.perf_counter() - start - stopwatch.seconds.get("observing", 0.0)
    if all(lesson.kept_seconds for lesson in lessons):
        seconds += max(lesson.kept_seconds for lesson in lessons)
    scores = {split: teaching.evaluate_each(lessons, split) for split in splits}
    for k, (seed, lesson) in enumerate(zip(seeds, lessons, strict=True)):
        student: dict[str, Any] = {
            "seconds": seconds,
            "training_loss": lesson.training_loss,
            "segment_starts": lesson.steps,
        }
        for split in splits:
            student |= {f"{split}_{name}": value for name, value in scores[split][k].items()}
        if observe:
            own = [moment[k] for moment in observed] if blind else _after_progress(lesson)
            student |= _observed_scores(teaching, own)
        yield seed, lesson, student


def _after_progress(lesson: Lesson) -> list[np.ndarray]:
    return [vector[1:].numpy() for vector in lesson.state_vectors]


def _observed_scores(teaching: Teaching, observed: list[np.ndarray]) -> dict[str, list[float]]:
    names, score = teaching.task.feature_names[1:], teaching.task.score
    return {
        score.observed(split): [float(seen[names.index(name)]) for seen in observed]
        for split in ("training", "dev")
        if (name := f"{split} {score.name}") in names
    }
