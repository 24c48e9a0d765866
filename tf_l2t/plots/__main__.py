"""Draws the figures of a run again: python -m tf_l2t.plots runs/lenet_mnist."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from tf_l2t.plots import write_figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the figures and prints their paths; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m tf_l2t.plots", description=__doc__)
    parser.add_argument("run_directory", type=pathlib.Path, help="such as runs/lenet_mnist")
    parser.add_argument(
        "--pairs",
        type=_pair,
        nargs="+",
        metavar="I,J",
        help="classes to show apart, by names or numbered from 0; of several pairs with one I, "
        "Φ(I, ·) is drawn for their J alone; those whose Φ(i, j) moved the most if absent",
    )
    given = parser.parse_args(arguments)
    try:
        paths = write_figures(given.run_directory, given.pairs)
    except (OSError, ValueError) as error:
        print(f"tf_l2t.plots: {error}", file=sys.stderr)
        return 2
    if not paths:
        print(f"{given.run_directory} has nothing to draw yet.")
    for path in paths:
        print(path)
    return 0


def _pair(text: str) -> tuple[str, str]:
    i, j = text.split(",")
    return i, j


if __name__ == "__main__":
    sys.exit(main())
