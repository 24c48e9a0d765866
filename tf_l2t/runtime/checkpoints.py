"""Checkpoints of a teacher's training: arrays and a JSON record in one file, no pickled code."""

from __future__ import annotations

import io
import json
import logging
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_l2t.runtime.files import atomic_writer

_RECORD = "record"
_NAMES = "names"

Arrays = dict[str, np.ndarray]


class CorruptCheckpointError(RuntimeError):
    """There are checkpoints, and none can be used."""


class Checkpoints:
    """The checkpoints of a directory, newest last.

    Args:
        directory: where they are; made when the first is written.
        keep: how many to keep.
    """

    def __init__(self, directory: pathlib.Path, keep: int = 3) -> None:
        self._directory = directory
        self._keep = keep
        self._unusable: list[pathlib.Path] = []

    def save(self, step: int, arrays: Arrays, record: dict[str, Any]) -> None:
        """Writes the checkpoint of a teacher step and removes the oldest ones, and damaged ones."""
        path = self._directory / f"teacher-{step:08d}.npz"
        with atomic_writer(path) as file:
            file.write(encode(arrays, record))
        for damaged in self._unusable:
            if damaged != path:
                damaged.unlink(missing_ok=True)
        self._unusable = []
        for old in self._paths()[: -self._keep]:
            old.unlink(missing_ok=True)

    def newest(
        self, take: Callable[[Arrays, dict[str, Any]], None] = lambda arrays, record: None
    ) -> tuple[Arrays, dict[str, Any]] | None:
        """Returns arrays and record of the newest checkpoint that can be used, None without any.

        Args:
            take: called with arrays and record; what it raises makes the checkpoint unusable.

        Raises:
            CorruptCheckpointError: if there are some but none can be used.
        """
        paths = self._paths()
        self._unusable = []
        for path in reversed(paths):
            try:
                arrays, record = decode(path.read_bytes())
                take(arrays, record)
            # Damage can raise anything: zipfile alone raises eight kinds of errors.
            except Exception as error:
                logging.warning(
                    "The checkpoint %s is damaged (%s: %s); trying an older one.",
                    path,
                    type(error).__name__,
                    error,
                )
                self._unusable.append(path)
            else:
                return arrays, record
        if paths:
            raise CorruptCheckpointError(
                f"none of the {len(paths)} checkpoints in {self._directory} can be used; restore "
                "one from a backup, or start anew with --overwrite."
            )
        return None

    def _paths(self) -> list[pathlib.Path]:
        return sorted(self._directory.glob("teacher-*.npz"))


def encode(arrays: Arrays, record: dict[str, Any]) -> bytes:
    """Returns arrays and a JSON record as the bytes of an npz file."""
    whole = {_RECORD: record, _NAMES: sorted(arrays)}
    encoded = np.frombuffer(json.dumps(whole).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{_RECORD: encoded, **arrays})
    return file.getvalue()


def decode(data: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Returns what `encode` was given; whatever NumPy, zipfile and JSON raise if damaged."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # NumPy reads what a header asks for; only a member read to its end is checked.
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays_of:
        arrays = {name: arrays_of[name] for name in arrays_of.files}
    whole = json.loads(arrays.pop(_RECORD).tobytes().decode())
    if sorted(arrays) != whole[_NAMES]:
        differing = sorted(set(arrays) ^ set(whole[_NAMES]))
        raise ValueError(f"the arrays {differing} are missing, or too many")
    return arrays, whole[_RECORD]
