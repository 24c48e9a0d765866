#!/usr/bin/env python3
"""Tells what the trajectory of each student takes, and how long a student fits a memory.

    tools/benchmark_trajectories.py gin/paper/resnet20_cifar10.gin
    tools/benchmark_trajectories.py gin/resnet8_cifar10.gin gin/paper/*_cifar10.gin \\
        --measure gin/resnet8_cifar10.gin gin/paper/resnet32_cifar10.gin

The first table is computed from the shapes of a student's weights, velocities and moving
statistics, and from T and the length of a segment that the configuration sets. It is the memory
of the trajectory; the activations of a batch, differentiated twice, come on top, whatever T is.

The second is measured for the configurations of --measure: their students take a few steps of SGD
with momentum on random images, under every storage policy, and what the trajectory then held is
set beside what was computed. Markdown to stdout.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import gin
import numpy as np
import tensorflow as tf
from benchmark_options import positive
from benchmark_report import markdown
from measuring import say

import tf_l2t.experiment  # noqa: F401  registers what configurations name
from tf_l2t import SGD
from tf_l2t.data import arrays
from tf_l2t.differentiation.plan import held_bytes, longest, need, state_bytes
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES
from tf_l2t.gin_files import register_gin_files
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students.student import BuildModel, Student
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching

_INPUT_SHAPE, _CLASSES = (32, 32, 3), 10
_RULE = SGD(0.01, momentum=0.9)
# "host" is as "disk" to the memory of the device.
_FITTED = ("memory", "recompute", "disk")


class Configured(NamedTuple):
    """A student as a configuration has it; built while that configuration is the last one read."""

    name: str
    build: BuildModel
    num_steps: int
    segment_length: int


def configured(file: str) -> Configured:
    """Reads a configuration, but not its data."""
    gin.clear_config()
    gin.parse_config_file(file)
    return Configured(
        gin.query_parameter("%NAME").removeprefix("paper_"),
        gin.query_parameter("%STUDENT").scoped_configurable_fn,
        gin.query_parameter("%NUM_STEPS"),
        gin.query_parameter("Budget.observe_every"),
    )


def computed(file: str, memory: int, segment_length: int | None) -> list[str]:
    """Returns the row of a configuration in the first table."""
    name, build, num_steps, length = configured(file)
    length = segment_length or length
    weights, variables = Student(build, _INPUT_SHAPE, _CLASSES).initial(seed=0)
    state = state_bytes(_RULE, weights, variables)
    count = sum(tensor.shape.num_elements() for tensor in weights)
    fitting = {storage: longest(storage, state, memory, length) for storage in _FITTED}
    return [
        name,
        f"{count:,}",
        f"{length}",
        f"{state.saved / 1e6:,.2f} MB",
        f"{num_steps:,}",
        f"{num_steps * state.saved / 1e9:,.2f} GB",
        f"{need('recompute', state, num_steps, length).device / 1e9:,.2f} GB",
        *("any" if steps is None else f"{steps:,}" for steps in fitting.values()),
    ]


def measured(file: str, num_steps: int, batch_size: int) -> list[list[str]]:
    """Returns the rows of a configuration in the second table, one for each policy."""
    name, build, _, _ = configured(file)
    random, count = np.random.default_rng(0), 2 * batch_size + 1
    images = random.integers(0, 256, (count, *_INPUT_SHAPE), np.uint8)
    labels, names = np.arange(count) % _CLASSES, [str(k) for k in range(_CLASSES)]
    task = Classification(
        arrays(images, labels, images, labels, names),
        build,
        ExpectedAccuracy(),
        batch_size=batch_size,
        dev_size=batch_size,
        observed_examples=batch_size,
    )
    loss, length, rows = DynamicBilinear(), max(1, num_steps // 2), []
    teacher = attention_teacher(task.coefficient_shapes(loss), len(task.feature_names))
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    outer, compiled = OuterGradient(task.dev_loss, task.num_dev_chunks), None
    state = state_bytes(_RULE, *task.initial(seed=0))
    for storage in STORAGE_POLICIES:
        say(f"{name}, {storage}")
        budget = Budget(num_steps, observe_every=length)
        teaching = Teaching(task, loss, _RULE, budget, teacher, storage=storage)
        compiled = compiled or teaching.engine.segments
        teaching.engine.segments = compiled
        lesson = teaching.roll_out(theta, seed=0, record=True)
        ((_, adjoint),) = teaching.differentiate_each([lesson], outer)
        teaching.reverse_each([lesson], theta, [adjoint])
        held = lesson.rollout.trajectory.nbytes
        planned = held_bytes(storage, state, num_steps, length)
        rows.append([name, storage, f"{num_steps}", f"{held:,}", f"{planned:,}"])
    return rows


def main(argv: Sequence[str]) -> int:
    """Prints the tables; returns the exit code."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", nargs="+", help="configurations of students on images of 32×32×3")
    add("--measure", nargs="+", default=[], metavar="FILE", help="configurations to measure too")
    add("--memory", type=positive, default=24, help="to fit, in GiB (default 24)")
    add("--segment_length", type=positive, help="instead of what the configurations say")
    add("--steps", type=positive, default=4, help="T of what is measured (default 4)")
    add("--batch", type=positive, default=16, help="examples of a batch there (default 16)")
    args = parser.parse_args(argv)
    register_gin_files()
    try:
        rows = [computed(file, args.memory << 30, args.segment_length) for file in args.files]
        tried = [row for file in args.measure for row in measured(file, args.steps, args.batch)]
    except (OSError, ValueError) as error:
        print(f"benchmark_trajectories.py: {error}", file=sys.stderr)
        return 2
    fitting = [f"largest T in {args.memory} GiB, `{storage}`" for storage in _FITTED]
    header = ["student", "weights", "segment", "a step", "T", "T steps, `memory`"]
    header += ["T steps, `recompute`", *fitting]
    print(markdown(header, rows))
    if tried:
        print()
        print(markdown(["student", "storage", "T", "bytes held", "bytes computed"], tried))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
