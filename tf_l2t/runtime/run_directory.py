"""The directory of a run: whose it is, and what it holds."""

from __future__ import annotations

import json
import pathlib
import sys
from importlib import metadata
from typing import Any

from tf_l2t.runtime.files import write_json, write_text
from tf_l2t.version import __version__


class RunDirectoryError(ValueError):
    """A run directory that belongs to another configuration, or that cannot be read."""


class RunDirectory:
    """runs/NAME and the names of what lies in it.

    Args:
        path: the directory; made by `claim`.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.config = path / "config.gin"
        self.results = path / "results.json"
        self.teacher = path / "teacher"
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"
        self.figures = path / "figures"
        self.coefficients = path / "coefficients.npz"
        self.markdown = path / "comparison.md"
        self.csv = path / "comparison.csv"
        self.students = path / "students"

    def written(self) -> dict[str, str]:
        """Returns what a user may want to open, of what is there, each with its place."""
        places = {
            "results": self.results,
            "table": self.markdown,
            "teacher": self.teacher,
            "students": self.students,
            "figures": self.figures,
        }
        found = {name: str(path) for name, path in places.items() if path.exists()}
        return {**found, "TensorBoard": f"tensorboard --logdir {self.path}"}

    def claim(self, config: str) -> bool:
        """Makes the directory the run of a configuration.

        Args:
            config: the operative gin configuration.

        Returns:
            Whether a run of the same configuration was there already, to be gone on with.

        Raises:
            RunDirectoryError: if it belongs to another configuration, with what differs.
        """
        if self.config.exists():
            theirs, ours = _bindings(self.config.read_text()), _bindings(config)
            if theirs != ours:
                differing = "\n".join(
                    [f"  there: {line}" for line in theirs if line not in ours]
                    + [f"  here:  {line}" for line in ours if line not in theirs]
                )
                raise RunDirectoryError(
                    f"{self.path} holds a run of another configuration:\n{differing}\n"
                    "Give another --run_dir, or delete that directory."
                )
            return True
        if self.path.exists() and not self._is_free():
            raise RunDirectoryError(
                f"{self.path} exists and is not the directory of a run (it has no config.gin); "
                "give another --run_dir."
            )
        write_text(self.config, config)
        return False

    def _is_free(self) -> bool:
        # A kill while config.gin is written leaves its temporary file.
        return self.path.is_dir() and all(
            name.name.startswith(f".{self.config.name}.") for name in self.path.iterdir()
        )

    def read_results(self) -> dict[str, Any]:
        """Returns results.json, {} where there is none.

        Raises:
            RunDirectoryError: if it cannot be read.
        """
        if not self.results.exists():
            return {}
        try:
            return json.loads(self.results.read_text())
        except ValueError as error:
            raise RunDirectoryError(
                f"{self.results} is damaged ({error}); delete it, and what it held is made again."
            ) from error

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes results.json, whole or not at all."""
        write_json(self.results, results)


def versions() -> dict[str, str]:
    """Returns the versions that a result depends on."""
    packages = ("tensorflow", "keras", "numpy", "tensorflow-datasets", "gin-config")
    found = {name: metadata.version(name) for name in packages}
    return {"tf_l2t": __version__, "python": sys.version.split()[0], **found}


def _bindings(config: str) -> list[str]:
    """Returns the bindings, sorted, each on one line however gin broke it."""
    bindings: list[str] = []
    for line in config.splitlines():
        text = " ".join(line.removesuffix("\\").split())
        if not text or text.startswith("#"):
            continue
        if line[0].isspace() or line[0] in ")]}":
            bindings[-1] += f" {text}"
        else:
            bindings.append(text)
    return sorted(bindings)
