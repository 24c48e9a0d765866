"""results.json at the start of a run, which may go on with an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tf_l2t.differentiation.workers import Workers
from tf_l2t.runtime.cluster import chiefs_json
from tf_l2t.runtime.room import hardware
from tf_l2t.runtime.run_directory import RunDirectory, RunDirectoryError, versions


def resumed(
    directory: RunDirectory, workers: Workers, given: Mapping[str, Any], **described: Any
) -> dict[str, Any]:
    """Returns what results.json holds at the start, by what the chief finds in the directory.

    Args:
        directory: of the run.
        workers: of the cluster.
        given: what a run cannot go on without.
        **described: what else describes a run from its start.

    Raises:
        RunDirectoryError: if the directory holds a run that was given something else.
    """
    results = chiefs_json(workers, directory.read_results())
    for name, value in given.items():
        if results and _identity(results.get(name, value)) != _identity(value):
            raise RunDirectoryError(
                f"{directory.path} holds a run of other {name}: {results.get(name)}, while "
                f"here is {value}; give another --run_dir, or bring back what it had."
            )
    fresh = {
        "versions": versions(),
        "hardware": hardware(),
        **given,
        **described,
        "seconds": {"search": 0.0, "teacher": 0.0, "comparison": 0.0},
        "search": {},
        "teacher": {},
        "rows": {},
    }
    results = {**fresh, **results, **given, "status": "running"}
    if results["versions"] != versions():
        results["resumed_with"] = versions()
    if results["hardware"] != hardware():
        results["resumed_on"] = hardware()
    return results


def _identity(given: Any) -> Any:
    """Returns what must be the same: a teacher may lie elsewhere now, and has a digest."""
    if isinstance(given, Mapping) and "sha256" in given:
        return {name: value for name, value in given.items() if name != "path"}
    return given
