"""Ends a process with kill -9 at a write that no process before it was killed at."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
from typing import Any


def die_at_the_next(seen: pathlib.Path) -> None:
    """From here on, the first write of a kind that is not in `seen` is this process's last.

    Args:
        seen: a line for each kind; the new one is added.
    """
    known = set(seen.read_text().splitlines())
    fsync, replace, rename, rmtree = os.fsync, os.replace, os.rename, shutil.rmtree

    def new(kind: str) -> bool:
        if kind in known:
            return False
        with seen.open("a") as file:
            file.write(f"{kind}\n")
        return True

    def die_if_new(kind: str) -> None:
        if new(kind):
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not os.path.isdir(path) and new(f"half of {_name(path)}"):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    def dying(real: Any) -> Any:
        def move(source: Any, target: Any, **options: Any) -> None:
            die_if_new(f"before the rename to {_name(target)}")
            real(source, target, **options)
            die_if_new(f"after the rename to {_name(target)}")

        return move

    def dying_rmtree(path: Any, *arguments: Any, **options: Any) -> None:
        there = os.path.exists(path)
        rmtree(path, *arguments, **options)
        if there:
            die_if_new(f"after the removal of {_name(path)}")

    os.fsync, os.replace, os.rename = dying_fsync, dying(replace), dying(rename)
    shutil.rmtree = dying_rmtree


def _name(path: Any) -> str:
    """Returns the folder and the name that a temporary file will have."""
    folder, name = os.path.split(os.fspath(path))
    name = re.sub(r"^\.(.*)\.\w{8}\.tmp$", r"\1", name)
    # Event files are named by time and process, and one figure is written like another.
    name = re.sub(r"^(events\.out)\..*", r"\1", name)
    if name.endswith(".png"):
        name = "figure"
    return f"{os.path.basename(folder)}/{name}"
