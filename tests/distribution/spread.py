"""Teaches with replicas and prints, as JSON, what must not depend on them.

python spread.py none
python spread.py mirrored      two logical CPU devices
python spread.py deep          the same, for students with convolutions, batch norm and dropout
python spread.py multi_worker  one of the workers of TF_CONFIG
"""

import functools
import json
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_l2t.data import arrays
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.runtime.strategy import Distribution
from tf_l2t.students import densenet, lenet, mlp, resnet, wide_resnet
from tf_l2t.students.student import BuildModel
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.rollout import Budget, Teaching
from tf_l2t.training.teacher_trainer import TeacherSchedule, TeacherTrainer
from tf_l2t.training.trust_region import TrustRegion
from tf_l2t.training.warm_start import WarmStart

import keras  # isort: skip

SMALL_MLP = functools.partial(mlp, hidden=(7,))
# And the width of their images.
DEEP = {
    "lenet": (lenet, 16),
    "resnet": (functools.partial(resnet, channels=4), 8),
    "wide_resnet": (
        functools.partial(wide_resnet, depth=10, width=2, channels=2, dropout_rate=0.25),
        8,
    ),
    "densenet": (functools.partial(densenet, depth=10, growth_rate=3, dropout_rate=0.25), 8),
}


def tiny_task(build: BuildModel = SMALL_MLP, width: int = 4) -> Classification:
    random = np.random.default_rng(0)
    shape = (width, width, 1)
    means = random.normal(size=(3, *shape))

    def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 3, count)
        return (means[labels] + random.normal(size=(count, *shape))).astype("float32"), labels

    # Batches of 9 and 3 chunks of dev data: neither divides by two.
    return Classification(
        arrays(*examples(200), *examples(60), name="tiny"),
        build,
        ExpectedAccuracy(),
        batch_size=9,
        dev_size=50,
        chunk_size=20,
    )


def trainer_of(task: Classification, replicas: Replicas, **options: Any) -> TeacherTrainer:
    """Returns a teacher in training whose students start warm and number two and three."""
    loss = DynamicBilinear()
    rule = SGD(learning_rate=0.1, momentum=0.9)
    warm = Teaching(
        task,
        task.likelihood,
        rule,
        Budget(2),
        replicas=replicas,
        jit_compile=options.get("jit_compile", False),
    )
    teaching = Teaching(
        task,
        loss,
        SGD(learning_rate=0.5, momentum=0.9),
        Budget(12, observe_every=5, warm_start_steps=2),
        attention_teacher(task.coefficient_shapes(loss), len(task.feature_names), num_keys=3),
        warm_start=WarmStart(warm),
        replicas=replicas,
        **options,
    )
    schedule = TeacherSchedule(num_steps=2, students_per_step=3, selection_students=3)
    return TeacherTrainer(
        teaching, keras.optimizers.SGD(0.01), schedule, TrustRegion(clip_factor=1.0)
    )


def hypergradient(trainer: TeacherTrainer) -> dict[str, Any]:
    """Returns the first hypergradient of a teacher, and its record."""
    gradients, record = trainer._hypergradient(0, None)
    numbers = [record.measure, record.score, record.norm, record.amplification]
    return {"gradients": _flat(gradients), "record": numbers}


def whole(trainer: TeacherTrainer) -> dict[str, Any]:
    """Returns the hypergradient, θ after two steps, and scores of students."""
    first = hypergradient(trainer)
    steps = [trainer.step() for _ in range(2)]
    students = train_and_score(trainer.teaching, trainer.theta, [5, 6, 7], ["dev", "test"])
    lesson = trainer.teaching.roll_out(trainer.theta, 3)
    return {
        **first,
        "selection": [step.selection for step in steps if step.selection],
        "theta": _flat(trainer.theta),
        "weights": _flat(lesson.rollout.state.weights),
        "losses": [student["training_loss"] for student in students],
        "scores": [
            [student[name] for name in ("dev_accuracy", "dev_cross_entropy", "test_measure")]
            for student in students
        ],
    }


def _flat(tensors: Iterable[tf.Tensor]) -> list[float]:
    return np.concatenate([np.ravel(t) for t in tensors]).tolist()


def main(strategy: str) -> dict[str, Any]:
    """Returns what was found, by how the replicas are used."""
    if strategy == "none":
        return {"none": whole(trainer_of(tiny_task(), Distribution().replicas))}
    if strategy in ("mirrored", "deep"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
    if strategy == "deep":
        return deep()
    devices = ("CPU:0", "CPU:1") if strategy == "mirrored" else None
    students = Distribution(strategy, "students", devices).replicas
    batch = Replicas(students._strategy, split_batches=True)
    task = tiny_task()
    found = {
        "students": whole(trainer_of(task, students)),
        "batch": whole(trainer_of(task, batch)),
    }
    if strategy == "mirrored":
        found["students jit"] = whole(trainer_of(task, students, jit_compile=True))
        # What a storage policy changes is the reverse pass alone.
        for storage in ("host", "disk", "recompute"):
            found[f"students {storage}"] = hypergradient(
                trainer_of(task, students, storage=storage)
            )
        found["batch recompute"] = hypergradient(trainer_of(task, batch, storage="recompute"))
    return found


def deep() -> dict[str, Any]:
    """Returns the hypergradients of deep students, without a strategy and with one."""
    strategy = Distribution("mirrored", "students", ("CPU:0", "CPU:1")).replicas
    # Of each part of a batch batch norm and dropout are other ones.
    batch = Replicas(strategy._strategy, split_batches=True)
    ways = {"alone": Distribution().replicas, "students": strategy, "batch": batch}
    found: dict[str, Any] = {}
    for name, (build, width) in DEEP.items():
        task, loss = tiny_task(build, width), DynamicBilinear()
        teacher = attention_teacher(task.coefficient_shapes(loss), len(task.feature_names))
        for how, replicas in ways.items():
            if how == "batch" and name != "lenet":
                continue
            rule = SGD(learning_rate=0.1, momentum=0.9)
            teaching = Teaching(task, loss, rule, Budget(3), teacher, replicas=replicas)
            schedule = TeacherSchedule(num_steps=1, students_per_step=2)
            optimizer = keras.optimizers.SGD(0.01)
            trainer = TeacherTrainer(teaching, optimizer, schedule, TrustRegion(clip_factor=1.0))
            found[f"{name} {how}"] = hypergradient(trainer)
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
