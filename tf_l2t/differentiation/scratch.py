"""Temporary directories that the next process clears away if their own was killed."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

from tf_l2t.file_locks import LockingUnsupportedError, try_lock

_PREFIX = "tf_l2t_trajectory_"
_OWNER = "owner"


def new_scratch_directory(parent: str | None = None) -> tuple[str, Callable[[], None]]:
    """Makes a temporary directory, and removes those of processes that are no more.

    Args:
        parent: where to make it; the system's place for temporary files unless given.

    Returns:
        The directory, and what removes it.
    """
    _remove_abandoned(pathlib.Path(parent or tempfile.gettempdir()))
    directory = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    # Locked before it has its name, so that nobody ever finds it there and free.
    unnamed = pathlib.Path(directory, f".{_OWNER}")
    lock = None
    with contextlib.suppress(LockingUnsupportedError):
        lock = try_lock(unnamed)
        unnamed.rename(unnamed.with_name(_OWNER))
    return directory, functools.partial(_remove, directory, lock)


def _remove(directory: str, lock: int | None) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _remove_abandoned(parent: pathlib.Path) -> None:
    for owner in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        # Another user's, or gone since it was listed.
        with contextlib.suppress(OSError):
            if owner.parent.is_symlink() or owner.stat().st_uid != os.getuid():
                continue
            if (lock := try_lock(owner)) is not None:
                _remove(str(owner.parent), lock)
