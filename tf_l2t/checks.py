"""Checks of arguments that many parts share."""

from __future__ import annotations

import numbers
import operator
import types
import typing
from collections.abc import Sequence
from typing import Any


def whole_number(owner: str, name: str, value: Any, minimum: int, remedy: str = "") -> int:
    """Returns a whole number that is not too small.

    Args:
        owner: what the argument belongs to, for the message.
        name: of the argument.
        value: what was given.
        minimum: the smallest that makes sense.
        remedy: what to do where it is too small, for the message.

    Raises:
        ValueError: for anything else, naming the argument and the value.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(
            f"{owner}: {name} must be a whole number, got {value!r}; write it without a fraction."
        ) from None
    if number < minimum:
        end = f"; {remedy}." if remedy else "."
        raise ValueError(f"{owner}: {name} must be at least {minimum}, got {number}{end}")
    return number


def instance_of(owner: str, name: str, value: Any, kind: type | types.UnionType) -> None:
    """Checks that an argument is of a kind.

    Raises:
        ValueError: if it is not, with what a gin file may have forgotten.
    """
    if not isinstance(value, kind):
        names = " or ".join(each.__name__ for each in typing.get_args(kind) or (kind,))
        raise ValueError(
            f"{owner}: {name} must be a {names}, got {value!r}; in a gin file, bind it "
            "with brackets, as in @Name()."
        )


def part(owner: str, name: str, value: float, remedy: str = "it is a part, not a %.") -> float:
    """Returns a part of a whole that leaves something.

    Args:
        owner: what the argument belongs to, for the message.
        name: of the argument.
        value: what was given.
        remedy: the end of the message.

    Raises:
        ValueError: if it is not in [0, 1).
    """
    if not (isinstance(value, numbers.Real) and 0 <= value < 1):
        raise ValueError(f"{owner}: {name} must be in [0, 1), got {value!r}; {remedy}")
    return float(value)


def one_of(owner: str, name: str, value: Any, allowed: Sequence[str]) -> str:
    """Returns one of some words.

    Args:
        owner: what the argument belongs to, for the message.
        name: of the argument.
        value: what was given.
        allowed: the words.

    Raises:
        ValueError: for any other.
    """
    if value not in allowed:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(allowed)}, got {value!r}.")
    return value


def positive(owner: str, name: str, value: float, remedy: str) -> float:
    """Returns a number that is above 0 and finite.

    Args:
        owner: what the argument belongs to, for the message.
        name: of the argument.
        value: what was given.
        remedy: the end of the message.

    Raises:
        ValueError: for any other.
    """
    if not (isinstance(value, numbers.Real) and 0 < value < float("inf")):
        raise ValueError(f"{owner}: {name} must be positive and finite, got {value!r}; {remedy}")
    return value


def not_negative(owner: str, name: str, value: float, remedy: str) -> float:
    """Returns a number that is 0 or above, and finite.

    Args and Raises are those of `positive`.
    """
    if not (isinstance(value, numbers.Real) and 0 <= value < float("inf")):
        raise ValueError(f"{owner}: {name} must be in [0, inf), got {value!r}; {remedy}")
    return value
