"""The options of benchmark.py, and the students and data that they name."""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tf_l2t import students
from tf_l2t.data import embedded_mnist, tfds_images
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES

SOURCES = {
    "mnist": embedded_mnist,
    "cifar10": functools.partial(tfds_images, "cifar10"),
    "cifar100": functools.partial(tfds_images, "cifar100"),
}


def builders() -> dict[str, Callable]:
    """Returns the classifiers that `tf_l2t.students` exports, by name."""
    found = {name: getattr(students, name) for name in students.__all__}
    return {
        name: build
        for name, build in found.items()
        if inspect.isfunction(build) and "input_shape" in inspect.signature(build).parameters
    }


def builder(name: str, jit_compile: bool, student_settings: str = "") -> Callable:
    """Returns the student of a name, with the pooling that XLA differentiates right if need be."""
    build = functools.partial(builders()[name], **settings(student_settings))
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
    add("--student", default="lenet", help=f"one of {', '.join(builders())} (default lenet)")
    add(
        "--student_settings",
        default="",
        metavar="A=1,B=2",
        help="arguments of the student, such as depth=20",
    )
    add("--data", choices=list(SOURCES), default="mnist", help="(default mnist)")
    add("--augment", action="store_true", help="crop and flip what our own loop trains on")
    add("--steps", type=positive, default=50, help="T, training steps of a student (default 50)")
    add("--batch", type=positive, default=64, help="examples of a training batch (default 64)")
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
        type=lambda text: [positive(each) for each in text.split(",")],
        default=[],
        help="also time teacher steps of these T, such as 100,1000,8600",
    )
    add("--seed", type=int, default=0, help="of data and students, from 0 (default 0)")
    add("--json", action="store_true", help="JSON to stdout, the table to stderr")
    args = parser.parse_args(argv)
    args.storage = list(dict.fromkeys(args.storage or ["memory"]))
    args.lengths = list(dict.fromkeys(args.lengths))
    if args.student not in builders():
        parser.error(f"no student {args.student!r}; there are {', '.join(builders())}")
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


def storages(text: str) -> list[str]:
    """Parses storage policies, with commas between them."""
    names = text.split(",")
    for name in names:
        if name not in STORAGE_POLICIES:
            raise argparse.ArgumentTypeError(
                f"no storage policy {name!r}; there are {', '.join(STORAGE_POLICIES)}"
            )
    return names
