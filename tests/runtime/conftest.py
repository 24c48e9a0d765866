"""A teacher for three classes, exported, and a reader of event files without our own code."""

import pathlib
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import DynamicBilinear
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.teachers import attention_teacher

NAMES = ("a", "b", "c")


@pytest.fixture
def exported(tmp_path: pathlib.Path) -> pathlib.Path:
    loss = DynamicBilinear(bias=True)
    teacher = attention_teacher(loss.coefficient_shapes(3), 6)
    theta = [
        tf.random.stateless_normal(v.shape, [1, k])
        for k, v in enumerate(teacher.trainable_variables)
    ]
    record = teacher_record(loss, NAMES, observed_examples=20, observe_every=7, dev_accuracy=0.9)
    export_teacher(tmp_path / "teacher", teacher, theta, record)
    return tmp_path / "teacher"


Runs = dict[str, dict[tuple[str, int], list[np.ndarray]]]


@pytest.fixture
def events_of() -> Callable[[pathlib.Path], Runs]:
    """Returns a reader of a directory: run -> (tag, step) -> all that was written there."""

    def read(directory: pathlib.Path) -> Runs:
        found: Runs = defaultdict(lambda: defaultdict(list))
        for path in sorted(directory.rglob("events.*")):
            run = path.parent.relative_to(directory).as_posix()
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    found[run][value.tag, event.step].append(tf.make_ndarray(value.tensor))
        return found

    return read
