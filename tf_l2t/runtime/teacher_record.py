"""teacher.json: what a reader of an exported teacher needs, written and checked in one place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from tf_l2t.losses import loss_record
from tf_l2t.losses.base import Loss
from tf_l2t.runtime.run_directory import versions
from tf_l2t.tasks.task import Task
from tf_l2t.teachers.state_features import feature_definitions, feature_names
from tf_l2t.training.budget import Budget
from tf_l2t.training.recipe import Recipe

FORMAT = "tf_l2t teacher"
FORMAT_VERSION = 1
NAME = "teacher.json"
_STATE = (
    "The state vector s_t of a student at training step t, float32, every entry in [0, 1]. t / T "
    "changes with every step; the others are measured with the weights before the first step that "
    "the teacher sets the loss of, and again after every observe_every steps: in inference mode, "
    "on observed_examples training examples and as many dev examples (on all, where there are "
    "fewer), the same ones each time."
)
_TYPES: dict[str, type] = {
    "class_names": list,
    "num_classes": int,
    "state": dict,
    "loss": dict,
    "coefficients": dict,
    "sha256": dict,
}


class TeacherError(ValueError):
    """An exported teacher that is not there, is damaged, or does not fit."""


def teacher_record(
    loss: Loss,
    class_names: Sequence[str],
    *,
    features: Iterable[tuple[str, str]] | None = None,
    observed_examples: int,
    observe_every: int,
    **details: Any,
) -> dict[str, Any]:
    """Returns what teacher.json says of a teacher.

    Args:
        loss: the loss that it sets the coefficients of.
        class_names: a name for each class, in the order of the labels; for translation, each word.
        features: name and definition of each entry of the state vector; those of classification
            if None.
        observed_examples: training and dev examples that a state vector is measured on.
        observe_every: training steps between two measurements.
        **details: of the training: configuration, dev score, data.

    A loss that is not in `tf_l2t.losses.TAUGHT_LOSSES` is described too, but `load_teacher`
    refuses its teacher.
    """
    classes = tuple(map(str, class_names))
    if features is None:
        features = zip(feature_names(classes), feature_definitions(classes), strict=True)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "num_classes": len(classes),
        "class_names": list(classes),
        "state": {
            "definition": _STATE,
            "features": [
                {"name": feature, "definition": definition, "range": [0, 1]}
                for feature, definition in features
            ],
            "observed_examples": observed_examples,
            "observe_every": observe_every,
        },
        "loss": {**loss_record(loss), "formula": loss.formula},
        "coefficients": {
            name: list(shape) for name, shape in loss.coefficient_shapes(len(classes)).items()
        },
        **details,
        "versions": versions(),
    }


def trained_teacher_record(
    loss: Loss,
    task: Task,
    budget: Budget,
    recipe: Recipe,
    learning_rate: float,
    config: pathlib.Path,
    dev_score: float | None,
) -> dict[str, Any]:
    """Returns what teacher.json says of a teacher that a run trained.

    Args:
        loss: the loss that it sets the coefficients of.
        task: what it learned on.
        budget: of the students that it learned from.
        recipe: how these were optimised.
        learning_rate: their peak learning rate.
        config: the configuration of the run.
        dev_score: of the best parameters; None before any selection.
    """
    return teacher_record(
        loss,
        task.class_names,
        features=zip(task.feature_names, task.feature_definitions, strict=True),
        observed_examples=task.observed_examples,
        observe_every=budget.observe_every,
        budget=dataclasses.asdict(budget),
        student={
            "learning_rate": learning_rate,
            "update_rule": recipe.update_rule.__name__,
            "learning_rate_schedule": recipe.learning_rate_schedule.__name__,
        },
        **{task.score.scored("dev"): dev_score},
        data=task.describe(),
        config=config.read_text(),
    )


def digests(directory: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of every file of a directory but teacher.json, by its relative path."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / NAME
    }


def read_record(directory: pathlib.Path) -> tuple[dict[str, Any], str]:
    """Returns teacher.json, checked together with the files that it describes, and its digest.

    Args:
        directory: of an exported teacher.

    Raises:
        TeacherError: if anything is missing, damaged or of another kind; nothing was loaded then.
    """
    again = "export the teacher again (python -m tf_l2t.train writes RUN/teacher)"
    if not directory.is_dir():
        raise TeacherError(
            f"there is no directory {directory}; give the path of an exported teacher, such as "
            "runs/NAME/teacher."
        )
    if not (directory / "saved_model.pb").is_file():
        raise TeacherError(
            f"{directory} is no SavedModel (it has no saved_model.pb); give the directory of the "
            "teacher itself, such as runs/NAME/teacher."
        )
    if not (directory / NAME).is_file():
        raise TeacherError(
            f"{directory} is a SavedModel but no teacher (it has no {NAME}); give a directory "
            "that tf_l2t wrote."
        )
    content = (directory / NAME).read_bytes()
    try:
        record = json.loads(content.decode())
    except ValueError as error:
        raise TeacherError(f"{directory / NAME} is damaged ({error}); {again}.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise TeacherError(
            f"{directory} is no teacher: {NAME} does not have the format {FORMAT!r}; {again}."
        )
    if record.get("format_version") != FORMAT_VERSION:
        raise TeacherError(
            f"{directory} has the format version {record.get('format_version')!r}, and this "
            f"tf_l2t reads version {FORMAT_VERSION}; install the tf_l2t that wrote it, or {again}."
        )
    for key, kind in _TYPES.items():
        if not isinstance(record.get(key), kind):
            raise TeacherError(f"{directory / NAME} is damaged ({key} is missing); {again}.")
    found = digests(directory)
    for name, digest in record["sha256"].items():
        if found.get(name) != digest:
            what = "is not as it was written" if name in found else "is missing"
            raise TeacherError(f"{directory} is damaged ({name} {what}); {again}.")
    return record, hashlib.sha256(content).hexdigest()
