"""What is kept of a student that was taught."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_l2t.runtime.files import atomic_writer, writing
from tf_l2t.runtime.run_directory import RunDirectory
from tf_l2t.runtime.summaries import Summaries
from tf_l2t.tasks.task import Task
from tf_l2t.training.rollout import Lesson


def save_student(task: Task, lesson: Lesson, path: pathlib.Path) -> None:
    """Writes a student as PATH.keras and, for serving, as a SavedModel in the directory PATH."""
    model = task.model(lesson.rollout.state)
    path.parent.mkdir(exist_ok=True)
    with writing(path):
        model.save(path.with_suffix(".keras"))
        model.export(path, verbose=False)


def write_coefficients(
    lesson: Lesson,
    coefficients: list[Mapping[str, tf.Tensor]],
    directory: RunDirectory,
    summaries: Summaries,
) -> None:
    """Writes the coefficients and state vectors of a student, a row for each segment."""
    values = [{name: t.numpy() for name, t in value.items()} for value in coefficients]
    for step, value in zip(lesson.steps, values, strict=True):
        summaries.coefficients("student", step, value)
    summaries.flush()
    with atomic_writer(directory.coefficients) as file:
        np.savez(
            file,
            allow_pickle=False,
            steps=np.array(lesson.steps),
            state_vectors=np.stack([s.numpy() for s in lesson.state_vectors]),
            **{name: np.stack([value[name] for value in values]) for name in values[0]},
        )
