"""The lock of a run directory: one process at a time, and which one it is."""

from __future__ import annotations

import datetime
import logging
import os
import pathlib
import socket
import time
import weakref
from collections.abc import Callable
from typing import Any

from tf_l2t.file_locks import LockingUnsupportedError, try_lock

NAME = ".lock"


class InUseError(ValueError):
    """Another process has the run directory."""


class RunLock:
    """Keeps other processes out of a directory until `release`, or until this process ends.

    Args:
        directory: made if it is not there.

    Raises:
        InUseError: if another process has it, with its number, its host and since when.
        OSError: if nothing can be written there.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._close: Callable[[], Any] = lambda: None
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / NAME
        try:
            descriptor = try_lock(path)
        except LockingUnsupportedError as error:
            logging.warning("No locks (%s): start no second process in %s.", error, directory)
            return
        if descriptor is None:
            # Whoever took it this instant needs a moment to write who it is.
            time.sleep(0.1)
            holder = path.read_text(errors="replace").strip() or "another process"
            raise InUseError(
                f"{directory} is in use by {holder}; wait for its end, or give another --run_dir."
            )
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(
            descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode(), 0
        )
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        """Lets other processes in."""
        self._close()
