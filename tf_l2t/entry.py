"""How the commands start: flags, and the exit code of flags that are wrong."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import app, flags


def start(main: Callable[[list[str]], int]) -> None:
    """Parses the flags, runs a command and ends the process with its exit code; 2 for bad flags.

    Args:
        main: what the flags left over -> exit code.
    """
    app.run(main, flags_parser=_parsed)


def _parsed(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        program = pathlib.Path(argv[0]).stem
        print(f"tf_l2t.{program}: {error}; see --help.", file=sys.stderr)
        sys.exit(2)
