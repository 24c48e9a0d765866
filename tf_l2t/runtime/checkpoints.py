"""Checkpoints of a teacher's training: arrays and a JSON record in one file, no pickled code."""

from __future__ import annotations

import io
import json
import logging
import pathlib
import zipfile
from typing import Any

import numpy as np

from tf_l2t.runtime.files import atomic_writer

_RECORD = "record"


class CorruptCheckpointError(RuntimeError):
    """There are checkpoints, and none can be read."""


class Checkpoints:
    """The checkpoints of a directory, newest last.

    Args:
        directory: where they are; made when the first is written.
        keep: how many to keep.
    """

    def __init__(self, directory: pathlib.Path, keep: int = 3) -> None:
        self._directory = directory
        self._keep = keep

    def save(self, step: int, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Writes the checkpoint of a teacher step and removes the oldest ones."""
        with atomic_writer(self._directory / f"teacher-{step:08d}.npz") as file:
            file.write(encode(arrays, record))
        for old in self._paths()[: -self._keep]:
            old.unlink(missing_ok=True)

    def newest(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Returns arrays and record of the newest checkpoint that can be read, None without any.

        Raises:
            CorruptCheckpointError: if there are some but none can be read.
        """
        paths = self._paths()
        for path in reversed(paths):
            try:
                return decode(path.read_bytes())
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                logging.warning(
                    "The checkpoint %s is damaged (%s); trying an older one.", path, error
                )
        if paths:
            raise CorruptCheckpointError(
                f"none of the {len(paths)} checkpoints in {self._directory} can be read; restore "
                "one from a backup, or delete the directory to start anew."
            )
        return None

    def _paths(self) -> list[pathlib.Path]:
        return sorted(self._directory.glob("teacher-*.npz"))


def encode(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> bytes:
    """Returns arrays and a JSON record as the bytes of an npz file."""
    encoded = np.frombuffer(json.dumps(record).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{_RECORD: encoded, **arrays})
    return file.getvalue()


def decode(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns what `encode` was given; raises what NumPy and JSON do for anything else."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, json.loads(arrays.pop(_RECORD).tobytes().decode())
