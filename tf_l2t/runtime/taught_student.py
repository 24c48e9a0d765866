"""What a taught student was told through its training: the file coefficients.npz."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tf_l2t.runtime.files import atomic_writer


class TaughtStudent(NamedTuple):
    """A student's lessons, at the first step of each of its segments."""

    steps: np.ndarray
    """[times]."""
    state_vectors: np.ndarray
    """s_t, [times, |s|]."""
    told: dict[str, np.ndarray]
    """Each coefficient, [times, *shape], and "attention", [times, keys], where there is one."""

    @classmethod
    def collect(
        cls,
        steps: Sequence[int],
        state_vectors: Sequence[np.ndarray],
        told: Sequence[Mapping[str, np.ndarray]],
    ) -> TaughtStudent:
        """Returns the record of what was told at each time."""
        columns = {name: np.stack([moment[name] for moment in told]) for name in told[0]}
        return cls(np.array(steps), np.stack(state_vectors), columns)

    @classmethod
    def load(cls, path: pathlib.Path) -> TaughtStudent:
        """Returns what `save` wrote.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            # Opened here, since NumPy leaves a file open that it cannot read.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            return cls(arrays.pop("steps"), arrays.pop("state_vectors"), arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is damaged ({error}); delete it.") from error

    def save(self, path: pathlib.Path) -> None:
        """Writes the file, whole or not at all."""
        with atomic_writer(path) as file:
            np.savez(
                file,
                allow_pickle=False,
                steps=self.steps,
                state_vectors=self.state_vectors,
                **self.told,
            )
