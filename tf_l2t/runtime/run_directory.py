"""The directory of a run: whose it is, and what it holds."""

from __future__ import annotations

import hashlib
import json
import logging
import pathlib
import re
import shutil
import sys
from importlib import metadata
from typing import Any

from tf_l2t.runtime import run_lock
from tf_l2t.runtime.files import TEMPORARY, finite, write_json, write_text
from tf_l2t.runtime.run_lock import RunLock
from tf_l2t.version import __version__

_CHECKSUM = "checksum"
_OF_A_RUN = re.compile(r"^(tf_l2t\.)?Experiment\.\w+ =", re.MULTILINE)


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
        self._config_copy = self.checkpoints / self.config.name
        self._results_copy = self.checkpoints / self.results.name
        self._lock: RunLock | None = None

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

    def claim(self, config: str, resume: str = "auto", overwrite: bool = False) -> bool:
        """Makes the directory the run of a configuration, and keeps other processes out of it.

        Args:
            config: the operative gin configuration.
            resume: "auto" goes on with a run of the same configuration, "never" refuses it, "must"
                refuses where there is none.
            overwrite: whether to remove the run that is there, of whatever configuration.

        Returns:
            Whether a run of the same configuration was there already, to be gone on with.

        Raises:
            RunDirectoryError: if it belongs to another configuration, with what differs; if it is
                not of a run; or if `resume` is against it.
            InUseError: if another process has it.
        """
        self._check(config, resume, overwrite)
        if self._lock is None:
            self._lock = RunLock(self.path)
        # Once more, for what another process may have done before the lock was taken.
        there = self._check(config, resume, overwrite)
        if there and overwrite:
            self._remove_run()
            there = False
        self._remove_unfinished()
        for path in (self.config, self._config_copy):
            if not path.exists() or _bindings(_text(path)) != _bindings(config):
                if there and path.exists():
                    logging.warning("%s was damaged, and is written again.", path)
                write_text(path, config)
        return there

    def release(self) -> None:
        """Lets other processes in."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _check(self, config: str, resume: str, overwrite: bool) -> bool:
        """Returns whether a run is there, RunDirectoryError if it is to be left alone."""
        # The copy tells whose a run is if its config.gin is damaged.
        found = [_text(path) for path in (self.config, self._config_copy) if path.exists()]
        if not found:
            if self.path.exists() and not self._is_free():
                raise RunDirectoryError(
                    f"{self.path} exists and is not the directory of a run (it has no config.gin); "
                    "give another --run_dir."
                )
            if resume == "must":
                raise RunDirectoryError(
                    f"--resume=must, and there is no run in {self.path}; give the --run_dir of the "
                    "run to go on with, or leave the flag away."
                )
            return False
        if overwrite:
            if not any(_OF_A_RUN.search(text) for text in found):
                raise RunDirectoryError(
                    f"{self.path} is not overwritten: its config.gin is not of a run of tf_l2t; "
                    "give another --run_dir."
                )
            return True
        if resume == "never":
            raise RunDirectoryError(
                f"--resume=never, and {self.path} holds a run; give another --run_dir, or start it "
                "anew with --overwrite."
            )
        theirs, ours = _bindings(found[0]), _bindings(config)
        if ours in [theirs, *(_bindings(text) for text in found[1:])]:
            return True
        differing = "\n".join(
            [f"  there: {line}" for line in theirs if line not in ours]
            + [f"  here:  {line}" for line in ours if line not in theirs]
        )
        raise RunDirectoryError(
            f"{self.path} holds a run of another configuration:\n{differing}\n"
            "Give another --run_dir, or remove that run with --overwrite."
        )

    def _is_free(self) -> bool:
        # A kill while config.gin is written leaves its temporary file.
        return self.path.is_dir() and all(
            name.name == run_lock.NAME or name.name.startswith(f".{self.config.name}.")
            for name in self.path.iterdir()
        )

    def _remove_run(self) -> None:
        # config.gin goes last: what a kill leaves of this is still the directory of a run.
        for path in (
            self.results,
            self.teacher,
            self.students,
            self.tensorboard,
            self.figures,
            self.coefficients,
            self.markdown,
            self.csv,
            self.checkpoints,
            self.config,
        ):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _remove_unfinished(self) -> None:
        """Removes what killed writers left behind."""
        for directory in (self.path, self.checkpoints, self.figures):
            for path in directory.glob(f".*{TEMPORARY}"):
                path.unlink(missing_ok=True)
        for path in self.students.glob(".*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.teacher.with_name(f".{self.teacher.name}.new"), ignore_errors=True)

    def read_results(self) -> dict[str, Any]:
        """Returns results.json, its copy if it is damaged, {} where there is none.

        Raises:
            RunDirectoryError: if neither can be read.
        """
        if not self.results.exists():
            return {}
        try:
            return _read_results(self.results)
        except (ValueError, RecursionError) as error:
            damage = error
        try:
            results = _read_results(self._results_copy)
        except (OSError, ValueError, RecursionError):
            raise RunDirectoryError(
                f"{self.results} is damaged ({damage}); delete it, and what it held is made again."
            ) from damage
        logging.warning(
            "%s is damaged (%s); going on with %s.", self.results, damage, self._results_copy
        )
        return results

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes results.json, whole or not at all, and then its copy."""
        whole = {**results, _CHECKSUM: _checksum(results)}
        write_json(self.results, whole)
        write_json(self._results_copy, whole)


def _read_results(path: pathlib.Path) -> dict[str, Any]:
    results = json.loads(path.read_text())
    if not isinstance(results, dict) or _CHECKSUM not in results:
        raise ValueError(f"it has no {_CHECKSUM}")
    if results.pop(_CHECKSUM) != _checksum(results):
        raise ValueError(f"its {_CHECKSUM} is wrong")
    return results


def _checksum(results: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(finite(results), sort_keys=True).encode()).hexdigest()


def _text(path: pathlib.Path) -> str:
    return path.read_text(errors="replace")


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
        if bindings and (line[0].isspace() or line[0] in ")]}"):
            bindings[-1] += f" {text}"
        else:
            bindings.append(text)
    return sorted(bindings)
