"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any

TEMPORARY = ".tmp"
"""How the names of files end that are not yet whole; they start with a dot."""

_REASONS = {"ResourceExhaustedError": errno.ENOSPC, "PermissionDeniedError": errno.EACCES}


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Makes an OSError that names `path` of whatever a writer raises where it cannot write."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    except Exception as error:
        # Not imported for it: figures are drawn without TensorFlow.
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        reason = _REASONS.get(type(error).__name__)
        text = os.strerror(reason) if reason else error.message.splitlines()[0]
        raise OSError(reason or errno.EIO, text, str(path)) from error


@contextlib.contextmanager
def atomic_writer(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path` that takes its name once everything is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path):
        handle, name = tempfile.mkstemp(TEMPORARY, f".{path.name}.", path.parent)
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
        sync_directory(path.parent)


def sync_directory(directory: pathlib.Path) -> None:
    """Brings the names in a directory to the disk, so that a rename outlasts a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do this themselves and refuse to be asked.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file."""
    with atomic_writer(path) as file:
        file.write(text.encode())


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a JSON file; a number that is not finite becomes null."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


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


def finite(value: Any) -> Any:
    """Returns a value as JSON gives it back, with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
