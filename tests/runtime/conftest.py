"""A teacher for three classes, exported."""

import pathlib

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
