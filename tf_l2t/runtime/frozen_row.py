"""The row of a comparison that a trained teacher makes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tf_l2t.runtime.loaded_teacher import LoadedTeacher, shortened
from tf_l2t.teachers.frozen import frozen_teacher
from tf_l2t.training.rows import Row


def frozen_row(
    name: str,
    teacher: LoadedTeacher,
    class_names: tuple[str, ...],
    learning_rates: Sequence[float],
    conditions: Mapping[str, Any],
) -> Row:
    """Returns the row of the students that a trained teacher teaches.

    Args:
        name: of the row.
        teacher: which is not trained any more.
        class_names: of the data; other names than the teacher's are warned of.
        learning_rates: of the students, to try.
        conditions: what the configuration has of what `conditions_of` returns; other ones than
            those of the teacher's own students are warned of.

    Raises:
        TeacherError: if the teacher is for another number of classes.
    """
    teacher.check_classes(len(class_names))
    if class_names != teacher.class_names:
        pairs = zip(teacher.class_names, class_names, strict=True)
        others = [(theirs, ours) for theirs, ours in pairs if theirs != ours]
        logging.warning(
            "The teacher %s is for other classes than the data has (%s): it takes the first of "
            "them for its first, and so on.",
            teacher.path,
            shortened([f"{ours} for {theirs}" for theirs, ours in others]),
        )
    for key, theirs in conditions_of(teacher).items():
        if conditions[key] != theirs:
            logging.warning(
                "The teacher %s learned with %s %s, and its students here have %s.",
                teacher.path,
                key,
                theirs,
                conditions[key],
            )
    build = lambda shapes, num_features: frozen_teacher(teacher, shapes, num_features)
    return Row(name, teacher.loss, learning_rates, build)


def conditions_of(teacher: LoadedTeacher) -> dict[str, Any]:
    """Returns what the configuration of a teacher's students should share with that of others."""
    return {
        "the loss": type(teacher.loss).__name__,
        "Budget.observe_every": teacher.observe_every,
        "observed_examples": teacher.observed_examples,
        "Budget.warm_start_steps": teacher.warm_start_steps,
    }
