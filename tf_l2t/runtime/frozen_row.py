"""The row of a comparison that a trained teacher makes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tf_l2t.runtime.loaded_teacher import LoadedTeacher
from tf_l2t.teachers.frozen import frozen_teacher
from tf_l2t.training.rows import Row


def frozen_row(
    name: str,
    teacher: LoadedTeacher,
    class_names: tuple[str, ...],
    learning_rates: Sequence[float],
) -> Row:
    """Returns the row of the students that a trained teacher teaches.

    Args:
        name: of the row.
        teacher: which is not trained any more.
        class_names: of the data; other names than the teacher's are warned of.
        learning_rates: of the students, to try.

    Raises:
        TeacherError: if the teacher is for another number of classes.
    """
    teacher.check_classes(len(class_names))
    if class_names != teacher.class_names:
        logging.warning(
            "The teacher %s is for the classes %s, and the data has %s: it takes the first "
            "of them for its first, and so on.",
            teacher.path,
            teacher.class_names,
            class_names,
        )
    build = lambda shapes, num_features: frozen_teacher(teacher, shapes, num_features)
    return Row(name, teacher.loss, learning_rates, build)
