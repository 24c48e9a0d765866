"""Locks on files; whoever holds one frees it by ending, kill -9 included."""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class LockingUnsupportedError(OSError):
    """The file system has no locks."""


def try_lock(path: pathlib.Path) -> int | None:
    """Locks a file, which is made if it is not there, without waiting.

    Args:
        path: the file.

    Returns:
        The descriptor, which holds the lock while it is open; None if another holds it.

    Raises:
        LockingUnsupportedError: if its file system has no locks.
        OSError: if the file cannot be opened for writing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        if error.errno in _UNSUPPORTED:
            raise LockingUnsupportedError(error.errno, error.strerror, str(path)) from error
        raise
    return descriptor
