"""The row of a comparison that a trained teacher makes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tf_l2t.losses.base import Loss
from tf_l2t.losses.per_token import PerToken
from tf_l2t.runtime.loaded_teacher import LoadedTeacher, shortened
from tf_l2t.runtime.teacher_record import TeacherError
from tf_l2t.teachers.frozen import frozen_teacher
from tf_l2t.training.rows import Row


def frozen_row(
    name: str,
    teacher: LoadedTeacher,
    class_names: tuple[str, ...],
    learning_rates: Sequence[float],
    here: Mapping[str, Any],
) -> Row:
    """Returns the row of the students that a trained teacher teaches.

    Args:
        name: of the row.
        teacher: which is not trained any more.
        class_names: of the data; other names than the teacher's are warned of, where they are
            no words.
        learning_rates: of the students, to try.
        here: the `conditions` of the students; other ones than those that the teacher learned in
            are warned of.

    Raises:
        TeacherError: if the teacher is for another number of classes, or for other words.
    """
    teacher.check_classes(len(class_names))
    if class_names != teacher.class_names:
        pairs = zip(teacher.class_names, class_names, strict=True)
        others = [(theirs, ours) for theirs, ours in pairs if theirs != ours]
        if isinstance(teacher.loss, PerToken):
            # Of classes the first may be like the first; which words are alike nobody knows.
            raise TeacherError(
                f"the teacher {teacher.path} is for another vocabulary, of which "
                f"{len(others):,} of {len(class_names):,} words differ; give the text and the "
                "vocabularies that it learned with, or train a teacher with these."
            )
        logging.warning(
            "The teacher %s is for other classes than the data has (%s): it takes the first of "
            "them for its first, and so on.",
            teacher.path,
            shortened([f"{ours} for {theirs}" for theirs, ours in others]),
        )
    observed = teacher.observed_examples, teacher.observe_every, teacher.warm_start_steps
    for key, theirs in conditions(teacher.loss, *observed).items():
        if here[key] != theirs:
            logging.warning(
                "The teacher %s learned with %s %s, and its students here have %s.",
                teacher.path,
                key,
                theirs,
                here[key],
            )
    build = lambda shapes, num_features: frozen_teacher(teacher, shapes, num_features)
    return Row(name, teacher.loss, learning_rates, build)


def conditions(
    loss: Loss, observed_examples: int, observe_every: int, warm_start_steps: int
) -> dict[str, Any]:
    """Returns, by name, what students of a teacher should share with those that it learned from."""
    return {
        "the loss": type(loss).__name__,
        "observed_examples": observed_examples,
        "Budget.observe_every": observe_every,
        "Budget.warm_start_steps": warm_start_steps,
    }
