#!/usr/bin/env python3
"""Measures what a taught loss costs in `keras.Model.fit`, against cross entropy.

    tools/benchmark_fit.py --student lenet --steps 200 --batch 64

Three ways of the same `fit` take turns, each time with another one first: cross entropy, the
taught loss with the model shown to the teacher every --observe_every steps, and the taught loss
with one look at the start. All were traced and run once before. The ratios are medians over the
turns of the quotients within a turn; with --json one JSON object to stdout.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import benchmark_options
import keras
import measuring
import tensorflow as tf
from benchmark_report import print_result

import tf_l2t
from tf_l2t.data import embedded_mnist, split
from tf_l2t.losses import DynamicBilinear
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.run_directory import versions
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.teachers import attention_teacher

CROSS_ENTROPY, TAUGHT, ONE_LOOK = "cross_entropy", "taught", "taught_one_look"


def export(directory: pathlib.Path, args: argparse.Namespace) -> tf_l2t.LoadedTeacher:
    """Returns the teacher that every run starts from, exported and loaded."""
    loss = DynamicBilinear()
    teacher = attention_teacher(loss.coefficient_shapes(10), 13)
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    record = teacher_record(
        loss,
        embedded_mnist().class_names,
        observed_examples=args.observed_examples,
        observe_every=args.observe_every,
    )
    export_teacher(directory, teacher, theta, record)
    return tf_l2t.load_teacher(directory)


def ways(teacher: tf_l2t.LoadedTeacher, args: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Returns each way of `fit`, over the same number of batches, ready to be called again."""
    train, dev, _ = split(embedded_mnist(), 5000, args.seed)
    count = args.steps * args.batch
    x, x_dev = (part.images.astype("float32") / 255 for part in (train, dev))
    data = (
        tf.data.Dataset.from_tensor_slices((x, train.labels))
        .repeat()
        .batch(args.batch, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    observed = (x_dev, dev.labels), (x[:count], train.labels[:count])
    made = {
        CROSS_ENTROPY: (keras.losses.SparseCategoricalCrossentropy(from_logits=True), []),
        TAUGHT: (tf_l2t.TaughtLoss(teacher), [tf_l2t.Teach(teacher, *observed)]),
        ONE_LOOK: (
            tf_l2t.TaughtLoss(teacher),
            [tf_l2t.Teach(teacher, *observed, observe_every=args.steps)],
        ),
    }

    def way(loss: keras.losses.Loss, callbacks: list[Any]) -> Callable[[], None]:
        model = benchmark_options.builder(args.student, args.jit_compile)(x.shape[1:], 10)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=args.jit_compile)
        return lambda: model.fit(
            data, steps_per_epoch=args.steps, shuffle=False, callbacks=callbacks, verbose=0
        )

    return {name: way(*parts) for name, parts in made.items()}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measures what the options ask for."""
    with tempfile.TemporaryDirectory() as directory:
        fits = ways(export(pathlib.Path(directory) / "teacher", args), args)
        for name, fit in fits.items():
            measuring.say(f"tracing {name}")
            fit()
        times = measuring.take_turns(fits, args.repeats)
    return {
        "settings": {name: value for name, value in vars(args).items() if name != "json"},
        "machine": measuring.machine(),
        "versions": versions(),
        "seconds": {name: measuring.spread(took) for name, took in times.items()},
        "ratios": {
            f"{name} / {CROSS_ENTROPY}": measuring.ratios(times[name], times[CROSS_ENTROPY])
            for name in (TAUGHT, ONE_LOOK)
        },
    }


def table(result: dict[str, Any]) -> str:
    """Returns the seconds and ratios as a table."""
    rows = {**{f"{k}, s": v for k, v in result["seconds"].items()}, **result["ratios"]}
    lines = ["| what | median | min | max |", "| --- | ---: | ---: | ---: |"]
    for name, spread in rows.items():
        values = " | ".join(f"{spread[key]:.3f}" for key in ("median", "min", "max"))
        lines.append(f"| {name} | {values} |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Measures and prints what the options ask for; returns the exit code."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, positive = parser.add_argument, benchmark_options.positive
    add(
        "--student",
        default="lenet",
        choices=sorted(benchmark_options.builders()),
        help="default lenet",
    )
    add("--steps", type=positive, default=200, help="of one fit (default 200)")
    add("--batch", type=positive, default=64, help="examples of a batch (default 64)")
    add("--observe_every", type=positive, default=50, help="steps (default 50)")
    add("--observed_examples", type=positive, default=1000, help="of each kind (default 1000)")
    add("--repeats", type=positive, default=7, help="turns (default 7)")
    add("--jit_compile", action="store_true", help="compile the training step with XLA")
    add("--seed", type=int, default=0, help="of the split, from 0 (default 0)")
    add("--json", action="store_true", help="JSON to stdout, the table to stderr")
    args = parser.parse_args(argv)
    result = measure(args)
    print_result(result, table(result), args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
