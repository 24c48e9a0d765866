#!/usr/bin/env python3
"""Tells what the trajectory of each student takes, and how long a student fits a memory.

    tools/benchmark_trajectories.py gin/paper/resnet20_cifar10.gin
    tools/benchmark_trajectories.py gin/resnet8_cifar10.gin gin/paper/*_cifar10.gin \\
        --measure gin/resnet8_cifar10.gin gin/paper/resnet32_cifar10.gin
    tools/benchmark_trajectories.py gin/lstm1_multi30k.gin gin/paper/lstm1_iwslt14.gin \\
        --vocabulary 32009,22822

The first table is computed from the shapes of a student's weights and moving statistics, and of
what its update rule remembers (a reverse pass reads the moments of Adam, but no velocity), and from
T and the length of a segment that the configuration sets. Where only the last of the T steps are
recorded, after a warm start or by a truncation, these are what the bytes are of. It is the memory
of the trajectory; the activations of a batch, differentiated twice, come on top, whatever T is.

The second is measured for the configurations of --measure: their students take a few steps of
their update rule on random images or sentences, under every storage policy, and what the
trajectory then held is set beside what was computed. Markdown to stdout.
"""

from __future__ import annotations

import argparse
import inspect
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import gin
import numpy as np
import tensorflow as tf
from benchmark_options import positive
from benchmark_text import text_and_vocabularies, vocabulary_sizes
from measuring import say

import tf_l2t.experiment  # noqa: F401  registers what configurations name
from tf_l2t.data import arrays
from tf_l2t.data.vocabularies import subword_vocabularies
from tf_l2t.differentiation.plan import held_bytes, longest, need, state_bytes
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.gin_files import register_gin_files
from tf_l2t.losses import DynamicBilinear, DynamicDiagonal, PerToken
from tf_l2t.losses.base import Loss
from tf_l2t.markdown import markdown_table
from tf_l2t.measures import ExpectedAccuracy, TranslationLogLikelihood
from tf_l2t.students import Student, TranslationStudent
from tf_l2t.students.student import BuildModel
from tf_l2t.students.translator import BuildTranslator
from tf_l2t.tasks import Classification, Translation
from tf_l2t.tasks.task import Task
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching

_INPUT_SHAPE = (32, 32, 3)
_RATE = 0.01
# "host" is as "disk" to the memory of the device.
_FITTED = ("memory", "recompute", "disk")


class Configured(NamedTuple):
    """A student as a configuration has it; built while that configuration is the last one read."""

    name: str
    build: BuildModel | BuildTranslator
    vocabulary: list[int]
    """Words of source and target; none for a student of images."""
    classes: int
    """Of a student of images."""
    update_rule: UpdateRule
    budget: Budget
    recorded: int
    """Steps that the reverse pass goes through, those without a warm start or a truncation."""

    def student(self) -> Student | TranslationStudent:
        """Builds the student."""
        if self.vocabulary:
            return TranslationStudent(self.build, *self.vocabulary)
        return Student(self.build, _INPUT_SHAPE, self.classes)

    def task(self, batch_size: int) -> tuple[Task, Loss]:
        """Returns a task with this student on random data, and a taught loss for it."""
        if self.vocabulary:
            made_up = text_and_vocabularies(None, self.vocabulary, batch_size, seed=0)
            measure = TranslationLogLikelihood()
            sizes = {"batch_size": batch_size, "observed_examples": batch_size}
            return Translation(*made_up, self.build, measure, **sizes), PerToken(DynamicDiagonal())
        random, count = np.random.default_rng(0), 2 * batch_size + 1
        images = random.integers(0, 256, (count, *_INPUT_SHAPE), np.uint8)
        names = [str(k) for k in range(self.classes)]
        labels = np.arange(count) % self.classes
        classification = Classification(
            arrays(images, labels, images, labels, names),
            self.build,
            ExpectedAccuracy(),
            batch_size=batch_size,
            dev_size=batch_size,
            observed_examples=batch_size,
        )
        return classification, DynamicBilinear()


def configured(file: str, vocabulary: list[int] | None) -> Configured:
    """Reads a configuration, but not its data.

    Args:
        file: the configuration.
        vocabulary: sizes for students whose configuration leaves them to the text.

    Raises:
        ValueError: if such a student is given none.
    """
    gin.clear_config()
    gin.parse_config_file(file)
    budget = gin.get_configurable("Budget")()
    taught = budget.num_steps - budget.warm_start_steps
    return Configured(
        gin.query_parameter("%NAME").removeprefix("paper_"),
        gin.query_parameter("%STUDENT").scoped_configurable_fn,
        _vocabulary(file, vocabulary) if _bound("Experiment.task", "Translation") else [],
        100 if _value("tfds_images.name") == "cifar100" else 10,
        gin.get_configurable("Recipe")()(_RATE, budget.num_steps),
        budget,
        min(taught, _value("Experiment.truncate") or taught),
    )


def _vocabulary(file: str, otherwise: list[int] | None) -> list[int]:
    """Returns the sizes of both vocabularies of a configuration."""
    if _bound("Translation.vocabularies", "subword_vocabularies"):
        bound = gin.get_bindings("subword_vocabularies")
        arguments = inspect.signature(subword_vocabularies).bind_partial(**bound)
        arguments.apply_defaults()
        return 2 * [arguments.arguments["vocabulary_size"]]
    if otherwise is None:
        raise ValueError(
            f"{file}: how many words the vocabularies have is counted in the text, which is not "
            "read here; give --vocabulary SOURCE,TARGET, such as 32009,22822."
        )
    return [otherwise[0], otherwise[-1]]


def _value(parameter: str) -> Any:
    """Returns what a configuration binds a parameter to, None where it does not."""
    try:
        return gin.query_parameter(parameter)
    except ValueError:
        return None


def _bound(parameter: str, name: str) -> bool:
    """Returns whether a parameter is bound to the configurable of a name."""
    return _value(parameter).configurable.name == name


def computed(student: Configured, memory: int, segment_length: int | None) -> list[str]:
    """Returns the row of a configuration in the first table."""
    num_steps, recorded = student.budget.num_steps, student.recorded
    length = segment_length or student.budget.observe_every
    weights, variables = student.student().initial(seed=0)
    state = state_bytes(student.update_rule, weights, variables)
    count = sum(tensor.shape.num_elements() for tensor in weights)
    fitting = {storage: longest(storage, state, memory, length) for storage in _FITTED}
    return [
        student.name,
        f"{count:,}",
        f"{length}",
        f"{state.saved / 1e6:,.2f} MB",
        f"{num_steps:,}" + (f", last {recorded:,}" if recorded < num_steps else ""),
        f"{need('memory', state, recorded, length).device / 1e9:,.2f} GB",
        f"{need('recompute', state, recorded, length).device / 1e9:,.2f} GB",
        *("any" if steps is None else f"{steps:,}" for steps in fitting.values()),
    ]


def measured(student: Configured, num_steps: int, batch_size: int) -> list[list[str]]:
    """Returns the rows of a configuration in the second table, one for each policy."""
    task, loss = student.task(batch_size)
    length, rows = max(1, num_steps // 2), []
    teacher = attention_teacher(task.coefficient_shapes(loss), len(task.feature_names))
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    outer, compiled = OuterGradient(task.dev_loss, task.num_dev_chunks), None
    rule = student.update_rule
    state = state_bytes(rule, *task.initial(seed=0))
    for storage in STORAGE_POLICIES:
        say(f"{student.name}, {storage}")
        budget = Budget(num_steps, observe_every=length)
        teaching = Teaching(task, loss, rule, budget, teacher, storage=storage)
        compiled = compiled or teaching.engine.segments
        teaching.engine.segments = compiled
        lesson = teaching.roll_out(theta, seed=0, record=True)
        ((_, adjoint),) = teaching.differentiate_each([lesson], outer)
        teaching.reverse_each([lesson], theta, [adjoint])
        held = lesson.rollout.trajectory.nbytes
        planned = held_bytes(storage, state, num_steps, length)
        rows.append([student.name, storage, f"{num_steps}", f"{held:,}", f"{planned:,}"])
    return rows


def main(argv: Sequence[str]) -> int:
    """Prints the tables; returns the exit code."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", nargs="+", help="configurations of students on images of 32×32×3, or on text")
    add("--measure", nargs="+", default=[], metavar="FILE", help="configurations to measure too")
    add(
        "--vocabulary",
        type=vocabulary_sizes,
        metavar="SIZE[,SIZE]",
        help="words of source and target, for configurations that count them in their text",
    )
    add("--memory", type=positive, default=24, help="to fit, in GiB (default 24)")
    add("--segment_length", type=positive, help="instead of what the configurations say")
    add("--steps", type=positive, default=4, help="T of what is measured (default 4)")
    add("--batch", type=positive, default=16, help="examples of a batch there (default 16)")
    args = parser.parse_args(argv)
    register_gin_files()
    try:
        rows = [
            computed(configured(file, args.vocabulary), args.memory << 30, args.segment_length)
            for file in args.files
        ]
        tried = [
            row
            for file in args.measure
            for row in measured(configured(file, args.vocabulary), args.steps, args.batch)
        ]
    except (OSError, ValueError) as error:
        print(f"benchmark_trajectories.py: {error}", file=sys.stderr)
        return 2
    fitting = [f"largest T in {args.memory} GiB, `{storage}`" for storage in _FITTED]
    header = ["student", "weights", "segment", "a step", "T", "T steps, `memory`"]
    header += ["T steps, `recompute`", *fitting]
    print(markdown_table([header, *rows]))
    if tried:
        print()
        print(markdown_table([["student", "storage", "T", "bytes held", "bytes computed"], *tried]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
