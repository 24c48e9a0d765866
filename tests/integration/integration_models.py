"""A task of 3 classes, a teacher that reacts strongly to its state, and Keras models for them."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import tf_l2t
from tf_l2t.data import arrays
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.students import mlp
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.rollout import Budget, Teaching

NUM_STEPS, OBSERVE_EVERY, BATCH = 30, 5, 8


class Taught(NamedTuple):
    """A task, how our own loop teaches it, and the same teacher, loaded."""

    task: Classification
    teaching: Teaching
    theta: list[tf.Tensor]
    teacher: tf_l2t.LoadedTeacher
    schedule: Callable
    dev: tuple[np.ndarray, np.ndarray]
    train: tuple[np.ndarray, np.ndarray]

    def batches(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and labels of the steps of our own loop, in its order."""
        context = self.task.context(Segment(0, NUM_STEPS), seed)
        batches = [self.task.batch(tf.constant(t), context) for t in range(NUM_STEPS)]
        return (
            np.concatenate([batch.inputs for batch in batches]),
            np.concatenate([batch.targets for batch in batches]),
        )

    def model(self, seed: int = 1) -> keras.Model:
        """The student of a seed, with its initial weights."""
        return self.task.student.model_with(*self.task.initial(seed))

    def compiled(self, **options) -> keras.Model:
        model = options.pop("model", None) or self.model()
        optimizer = keras.optimizers.SGD(self.schedule(), momentum=0.9)
        options = {"optimizer": optimizer, "loss": tf_l2t.TaughtLoss(self.teacher), **options}
        # On a GPU Keras would take XLA, where nothing can raise.
        model.compile(**{"jit_compile": False, **options})
        return model


def schedule() -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(1.0, NUM_STEPS)


def export_strong(
    directory: pathlib.Path, num_classes: int = 3, seed: int = 0, **details: Any
) -> tuple[keras.Model, list[tf.Tensor]]:
    """Exports a teacher whose coefficients depend on the state so that a test can see it."""
    loss = DynamicBilinear(bias=True)
    teacher = attention_teacher(loss.coefficient_shapes(num_classes), num_classes + 3, key_scale=3)
    random = np.random.default_rng(seed)
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    theta = [value + 0.2 * random.normal(size=value.shape).astype("float32") for value in theta]
    for variable, value in zip(teacher.trainable_variables, theta, strict=True):
        variable.assign(value)
    record = teacher_record(
        loss,
        [f"class {k}" for k in range(num_classes)],
        observed_examples=40,
        observe_every=OBSERVE_EVERY,
        **details,
    )
    export_teacher(directory, teacher, theta, record)
    return teacher, theta


def make_taught(directory: pathlib.Path) -> Taught:
    """Makes the task and the teacher."""
    random = np.random.default_rng(0)
    means = random.normal(size=(3, 4, 4, 1))

    def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 3, count)
        return (means[labels] + random.normal(size=(count, 4, 4, 1))).astype("float32"), labels

    task = Classification(
        arrays(*examples(250), *examples(60), name="tiny"),
        lambda shape, classes: mlp(shape, classes, hidden=(6,)),
        ExpectedAccuracy(),
        batch_size=BATCH,
        dev_size=50,
        chunk_size=20,
        observed_examples=40,
    )
    teacher, theta = export_strong(directory)
    teaching = Teaching(
        task,
        DynamicBilinear(bias=True),
        SGD(learning_rate=schedule(), momentum=0.9),
        Budget(NUM_STEPS, observe_every=OBSERVE_EVERY),
        teacher,
    )
    dev, train = (
        (task._splits[name].images.numpy(), task._splits[name].labels.numpy())
        for name in ("dev", "train")
    )
    return Taught(task, teaching, theta, tf_l2t.load_teacher(directory, 3), schedule, dev, train)
