"""The options of benchmark.py, and the students and data that they name."""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from benchmark_text import add_text_options

from tf_l2t import SGD, Adam, students
from tf_l2t.data import embedded_mnist, tfds_images
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES
from tf_l2t.differentiation.update_rules import UpdateRule

SOURCES = {
    "mnist": embedded_mnist,
    "cifar10": functools.partial(tfds_images, "cifar10"),
    "cifar100": functools.partial(tfds_images, "cifar100"),
}
TEXT = "text"


class Optimization(NamedTuple):
    """An update rule, ours and that of Keras, both called with a learning rate."""

    rule: Callable[[float], UpdateRule]
    keras_optimizer: Callable[[float], keras.optimizers.Optimizer]
    plain_rate: float
    taught_rate: float


UPDATE_RULES = {
    # 4/c times as large for Φ = c·I with c = 0.2, where -σ has the slope c/4.
    "sgd": Optimization(
        functools.partial(SGD, momentum=0.9),
        functools.partial(keras.optimizers.SGD, momentum=0.9),
        plain_rate=0.05,
        taught_rate=1.0,
    ),
    # It does not mind the factor.
    "adam": Optimization(Adam, keras.optimizers.Adam, plain_rate=0.001, taught_rate=0.001),
}


def builders(argument: str = "input_shape") -> dict[str, Callable]:
    """Returns the students that `tf_l2t.students` exports, by name: classifiers, or others.

    Args:
        argument: one that their functions have.
    """
    found = {name: getattr(students, name) for name in students.__all__}
    return {
        name: build
        for name, build in found.items()
        if inspect.isfunction(build) and argument in inspect.signature(build).parameters
    }


def translators() -> dict[str, Callable]:
    """Returns the students that translate, by name."""
    return builders("source_size")


def builder(name: str, jit_compile: bool, student_settings: str = "") -> Callable:
    """Returns the student of a name, with the pooling that XLA differentiates right if need be.

    Raises:
        ValueError: for a setting that the student does not have.
    """
    student, given = (builders() | translators())[name], settings(student_settings)
    try:
        inspect.signature(student).bind_partial(**given)
    except TypeError as error:
        raise ValueError(f"--student_settings: {name} {error}") from error
    build = functools.partial(student, **given)
    if jit_compile and "xla_pooling" in inspect.signature(build).parameters:
        return functools.partial(build, xla_pooling=True)
    return build


def settings(text: str) -> dict[str, Any]:
    """Parses "depth=20,shortcut=projection".

    Raises:
        ValueError: if a part of it has no value.
    """
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not (name.isidentifier() and equals and value):
            raise ValueError(f"give NAME=VALUE, not {part!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def arguments(argv: Sequence[str], doc: str) -> argparse.Namespace:
    """Parses the options; exits with code 2 and says why where they make no sense.

    Args:
        argv: the options.
        doc: what --help says, in the first paragraph before the options and then after them.
    """
    summary, _, details = doc.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [*builders(), *translators()]
    add("--student", default="lenet", help=f"one of {', '.join(names)} (default lenet)")
    add(
        "--student_settings",
        default="",
        metavar="A=1,B=2",
        help="arguments of the student, such as depth=20",
    )
    add(
        "--data",
        choices=[*SOURCES, TEXT],
        help="(default mnist; text, which is all that they read, for students that translate)",
    )
    add_text_options(parser)
    add("--augment", action="store_true", help="crop and flip what our own loop trains on")
    add("--steps", type=positive, default=50, help="T, training steps of a student (default 50)")
    add("--batch", type=positive, default=64, help="examples of a training batch (default 64)")
    add(
        "--update_rule",
        choices=list(UPDATE_RULES),
        default="sgd",
        help="SGD with momentum 0.9, or Adam (default sgd)",
    )
    add(
        "--storage",
        action="extend",
        type=storages,
        help=f"one or several of {', '.join(STORAGE_POLICIES)}, with commas or as several options; "
        "each of several is measured in a process of its own (default memory)",
    )
    add("--segment_length", type=positive, help="steps of one compiled loop (default 50)")
    add("--truncate", type=positive, help="reverse through the last so many steps (default all)")
    add("--dev_examples", type=positive, default=1000, help="of the dev gradient (default 1000)")
    add("--repeats", type=positive, default=7, help="turns of every phase (default 7)")
    add("--jit_compile", action="store_true", help="compile the loops with XLA")
    add("--observe", action="store_true", help="refresh the state features before each segment")
    add(
        "--lengths",
        type=positives,
        default=[],
        help="also time teacher steps of these T, such as 100,1000,8600",
    )
    add("--seed", type=int, default=0, help="of data and students, from 0 (default 0)")
    add("--json", action="store_true", help="JSON to stdout, the table to stderr")
    args = parser.parse_args(argv)
    args.storage = list(dict.fromkeys(args.storage or ["memory"]))
    if args.student not in names:
        parser.error(f"no student {args.student!r}; there are {', '.join(names)}")
    translates = args.student in translators()
    args.data = args.data or (TEXT if translates else "mnist")
    if (args.data == TEXT) != translates:
        fitting = TEXT if translates else f"one of {', '.join(SOURCES)}"
        parser.error(f"--data {args.data} is not for {args.student}; give {fitting}")
    for name in ("augment",) if translates else ("text", "vocabulary"):
        if getattr(args, name):
            parser.error(f"--{name} is not for {args.student}; leave it out")
    try:
        settings(args.student_settings)
    except ValueError as error:
        parser.error(f"--student_settings: {error}")
    if args.seed < 0:
        parser.error(f"--seed must be from 0, got {args.seed}")
    return args


def positive(text: str) -> int:
    """Parses a whole number from 1."""
    value = int(text) if text.strip().isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"give a whole number from 1, not {text!r}")
    return value


def positives(text: str) -> list[int]:
    """Parses whole numbers from 1, with commas between them; each counts once."""
    return list(dict.fromkeys(positive(each) for each in text.split(",")))


def storages(text: str) -> list[str]:
    """Parses storage policies, with commas between them."""
    names = text.split(",")
    for name in names:
        if name not in STORAGE_POLICIES:
            raise argparse.ArgumentTypeError(
                f"no storage policy {name!r}; there are {', '.join(STORAGE_POLICIES)}"
            )
    return names
