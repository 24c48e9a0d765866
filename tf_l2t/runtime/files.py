"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def atomic_writer(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path` that takes its name once everything is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # A temporary file is for its owner alone; a result is for whom any new file is for.
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(file.fileno(), 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file."""
    with atomic_writer(path) as file:
        file.write(text.encode())


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a JSON file; a number that is not finite becomes null."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def replace_directory(fresh: pathlib.Path, directory: pathlib.Path) -> None:
    """Gives a complete directory its final name, in place of one that may be there.

    Where the system can exchange two names at once (Linux, most file systems), a kill at any
    moment leaves the old directory or the new one under the name. Elsewhere there is an instant
    between two renames, from which `recover_directory` finds the way back.

    Args:
        fresh: what is to be there; on the file system of `directory`.
        directory: the name that it takes.
    """
    old = _old(directory)
    shutil.rmtree(old, ignore_errors=True)
    if not directory.exists():
        fresh.rename(directory)
    elif _exchange(fresh, directory):
        shutil.rmtree(fresh)
    else:
        directory.rename(old)
        fresh.rename(directory)
        shutil.rmtree(old)


def recover_directory(directory: pathlib.Path) -> None:
    """Brings back a directory that `replace_directory` was killed while replacing."""
    if _old(directory).exists() and not directory.exists():
        _old(directory).rename(directory)


def _old(directory: pathlib.Path) -> pathlib.Path:
    return directory.with_name(f".{directory.name}.old")


def _exchange(first: pathlib.Path, second: pathlib.Path) -> bool:
    """Exchanges two names in one step, or returns False where the system cannot."""
    here, flag = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return renameat2(here, os.fsencode(first), here, os.fsencode(second), flag) == 0


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
