"""Warm starts of students in a directory, for several processes and for a command that goes on."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from tf_l2t.file_locks import try_lock
from tf_l2t.runtime.checkpoints import decode, encode
from tf_l2t.runtime.files import atomic_writer
from tf_l2t.runtime.room import hardware
from tf_l2t.training.warm_start import Made

_WEIGHT, _VARIABLE = "weight_{:04d}", "variable_{:04d}"


class DamagedWarmStartError(OSError):
    """A file does not hold the student that was saved in it."""


class WarmStartFiles:
    """Keeps warm starts as NAME.npz in a directory, each made by one process.

    Args:
        directory: made when the first is; it may be that of other runs.

    Attributes:
        used: what took those that were loaded or saved, by name: "seconds" and "hardware", None
            where the file does not say.

    Raises:
        ValueError: if it is a file.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = pathlib.Path(directory)
        self.used: dict[str, dict[str, Any]] = {}
        if self._directory.exists() and not self._directory.is_dir():
            raise ValueError(f"--warm_starts must be a directory, got the file {directory}.")

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Tells whether no other process makes this one, and keeps others from it meanwhile.

        Raises:
            OSError: if nothing can be written there, or its file system has no locks.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = try_lock(self._directory / f".{name}.lock")
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def load(self, name: str) -> Made | None:
        """Returns what was saved, None if that is not there.

        Raises:
            DamagedWarmStartError: if its file is damaged, with what to do.
        """
        path = self._path(name)
        if not path.exists():
            return None
        try:
            arrays, record = decode(path.read_bytes())
            weights = [arrays[_WEIGHT.format(k)] for k in range(record["weights"])]
            variables = [arrays[_VARIABLE.format(k)] for k in range(record["variables"])]
            made = Made(weights, variables, float(record["seconds"]))
        # Damage can raise anything: zipfile alone raises eight kinds of errors.
        except Exception as error:
            raise DamagedWarmStartError(
                f"the warm start {path} is damaged ({type(error).__name__}: {error}); remove it, "
                "and it is made again"
            ) from error
        self._use(name, made.seconds, record.get("hardware"))
        return made

    def save(self, name: str, made: Made) -> None:
        """Writes a student's file, which is whole or not there."""
        arrays = {_WEIGHT.format(k): array for k, array in enumerate(made.weights)}
        arrays |= {_VARIABLE.format(k): array for k, array in enumerate(made.variables)}
        record: dict[str, Any] = {
            "weights": len(made.weights),
            "variables": len(made.variables),
            "seconds": made.seconds,
            "hardware": hardware(),
        }
        with atomic_writer(self._path(name)) as file:
            file.write(encode(arrays, record))
        self._use(name, made.seconds, record["hardware"])

    def _use(self, name: str, seconds: float, made_on: list[str] | None) -> None:
        self.used[name] = {"seconds": seconds, "hardware": made_on}

    def _path(self, name: str) -> pathlib.Path:
        return self._directory / f"{name}.npz"
