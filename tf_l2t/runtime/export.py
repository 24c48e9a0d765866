"""Trained teachers and students as SavedModels."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import keras
import tensorflow as tf

from tf_l2t.decoding import TextTranslator
from tf_l2t.runtime.files import (
    TEMPORARY,
    recover_directory,
    replace_directory,
    write_json,
    writing,
)
from tf_l2t.runtime.teacher_record import NAME, digests

TEXT_FORM = "text.json"
"""Beside the SavedModel of a student that translates: how it reads and writes text."""


class _ExportedTeacher(tf.Module):
    def __init__(self, teacher: keras.Model, theta: list[tf.Tensor]) -> None:
        super().__init__()
        self._teacher = teacher
        self.theta = [tf.Variable(tensor, trainable=False) for tensor in theta]
        self.fixed = [
            tf.Variable(tf.convert_to_tensor(v), trainable=False)
            for v in teacher.non_trainable_variables
        ]

    def __call__(self, states: tf.Tensor) -> dict[str, tf.Tensor]:
        fixed = [tf.convert_to_tensor(v) for v in self.fixed]
        theta = [tf.convert_to_tensor(v) for v in self.theta]
        return self._teacher.stateless_call(theta, fixed, states)[0]


def export_teacher(
    directory: pathlib.Path,
    teacher: keras.Model,
    theta: list[tf.Tensor],
    metadata: dict[str, Any],
) -> None:
    """Writes a teacher as a SavedModel, with what a reader needs in `teacher.json` beside it.

    Signatures: `serving_default` takes `state`, float32 [|s|], and returns each coefficient;
    `batched` takes `states`, float32 [batch, |s|].

    Args:
        directory: where to write; what is there is replaced once the new one is complete, and
            stays there, whole, if the process is killed before.
        teacher: the Keras model.
        theta: its parameters.
        metadata: what `teacher_record` returns.

    Example:
        >>> record = teacher_record(loss, names, observed_examples=1000, observe_every=50)
        >>> export_teacher(pathlib.Path("teacher"), teacher, theta, record)
    """
    module = _ExportedTeacher(teacher, theta)
    num_features = teacher.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec([num_features], tf.float32, name="state")])
    def single(state: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: value[0] for name, value in module(state[None]).items()}

    @tf.function(input_signature=[tf.TensorSpec([None, num_features], tf.float32, name="states")])
    def batched(states: tf.Tensor) -> dict[str, tf.Tensor]:
        return module(states)

    module.single, module.batched = single, batched
    recover_directory(directory)
    fresh = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    tf.saved_model.save(
        module, str(fresh), signatures={"serving_default": single, "batched": batched}
    )
    write_json(fresh / NAME, {**metadata, "sha256": digests(fresh)})
    replace_directory(fresh, directory)


def export_student(model: keras.Model | TextTranslator, path: pathlib.Path) -> None:
    """Writes a student as a SavedModel in the directory PATH and, of a classifier, as PATH.keras.

    That of a translator has its `TextForm` in text.json beside it.

    Args:
        model: the student, as `Task.model` returns it.
        path: where; what is there is replaced.
    """
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f".{path.name}{TEMPORARY}")
    with writing(path):
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(model, TextTranslator):
            tf.saved_model.save(model, str(fresh), {"serving_default": model.translate})
            write_json(fresh / TEXT_FORM, model.form._asdict())
        else:
            model.save(fresh.with_suffix(".keras"))
            fresh.with_suffix(".keras").replace(path.with_suffix(".keras"))
            model.export(fresh, verbose=False)
        replace_directory(fresh, path)
