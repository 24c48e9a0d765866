"""What benchmark.py measured: comparisons of its runs, and the table."""

from __future__ import annotations

import json
import sys
from typing import Any

from tf_l2t.markdown import markdown_table

PHASES = {
    "plain_training": "plain training",
    "keras_fit": "keras.Model.fit",
    "rollout": "rollout",
    "dev_gradient": "dev gradient",
    "reverse": "reverse",
    "teacher_step": "teacher step",
}
RATIOS = {
    "teacher_step/plain_training": ("teacher_step", "plain_training"),
    "plain_training/keras_fit": ("plain_training", "keras_fit"),
    "rollout/plain_training": ("rollout", "plain_training"),
    "reverse/plain_training": ("reverse", "plain_training"),
}
_NEW_STUDENT = {
    "seconds": "a new student, in none of these",
    "added_to_next_teacher_step": "what it adds to the next teacher step",
}


def print_result(result: dict[str, Any], table: str, as_json: bool) -> None:
    """Prints the table to stdout; or the JSON object, and the table to stderr."""
    print(table, file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(result, indent=2))


def set_against_first(runs: list[dict[str, Any]]) -> None:
    """Adds to every run but the first, each of one storage policy, how it compares with that."""
    first = runs[0]
    for run in runs[1:]:
        pair = (run, first)
        beyond = [each["memory"]["beyond_baseline_bytes"] for each in pair]
        took = [each["seconds"]["teacher_step"]["median"] for each in pair]
        relative = [each["ratios"]["teacher_step/plain_training"]["median"] for each in pair]
        run["against_first"] = {
            "storage": first["storage"],
            "teacher_step": took[0] / took[1],
            # Of two processes: each against its own plain training, should the machine have
            # changed its pace between them.
            "teacher_step/plain_training": relative[0] / relative[1],
            "beyond_baseline_bytes": beyond[0] / beyond[1] if all(beyond) else None,
        }


def table(result: dict[str, Any]) -> str:
    """Returns the JSON object as Markdown, a column for each storage policy."""
    settings, runs, machine = result["settings"], result["runs"], result["machine"]
    rows = [
        [f"{words}, s", *(cell(run["seconds"][phase], 3) for run in runs)]
        for phase, words in PHASES.items()
    ]
    for name, (above, below) in RATIOS.items():
        title = f"{PHASES[above]} / {PHASES[below]}"
        rows.append([title, *(cell(run["ratios"][name], 2) for run in runs)])
    for key, title in _NEW_STUDENT.items():
        rows.append([f"{title}, s", *(cell(run["new_student"][key], 3) for run in runs)])
    memory = [run["memory"] for run in runs]
    rows += [
        ["bytes stored, MB", *(megabytes(run["bytes_stored"]) for run in runs)],
        ["peak beyond the baseline, MB", *(megabytes(m["beyond_baseline_bytes"]) for m in memory)],
        ["all weights of all steps, MB", *(megabytes(m["whole_trajectory_bytes"]) for m in memory)],
        [
            "peak beyond the baseline / all weights of all steps",
            *(number(m["ratio"], 3) for m in memory),
        ],
    ]
    if len(runs) > 1:
        against = [run.get("against_first", {}) for run in runs]
        rows += [
            [f"teacher step / that of {runs[0]['storage']}"]
            + [number(each.get("teacher_step"), 2) for each in against],
            ["the same, each in units of its plain training"]
            + [number(each.get("teacher_step/plain_training"), 2) for each in against],
        ]
    parts = [
        f"{settings['student']} ({runs[0]['weights']:,} weights), T = {settings['steps']}, batch "
        f"{settings['batch']}, {settings['update_rule']}; {runs[0]['data']}; median (min..max) of "
        f"{settings['repeats']}; {machine['cores']} "
        f"cores of {machine['cpu']}, load {number(machine['load'], 1)}",
        markdown_table([["", *(run["storage"] for run in runs)], *rows]),
        "\n".join(
            f"keras.Model.fit beside {r['storage']}: {r['keras_fit']['variant']}" for r in runs
        ),
    ]
    if runs[0]["lengths"]:
        parts.append(lengths_table(runs))
    return "\n\n".join(parts)


def lengths_table(runs: list[dict[str, Any]]) -> str:
    """Returns the teacher steps of several lengths, two columns for each storage policy."""
    header = ["T of a teacher step"]
    for run in runs:
        header += [f"{run['storage']}, s", "ms a step"]
    rows = []
    for several in zip(*(run["lengths"] for run in runs), strict=True):
        rows.append([f"{several[0]['steps']:,}"])
        for each in several:
            rows[-1] += [cell(each["seconds"], 3), number(1000 * each["seconds_per_step"], 2)]
    return markdown_table([header, *rows])


def cell(spread: dict[str, float], digits: int) -> str:
    """Returns median (min..max)."""
    median, low, high = (f"{spread[key]:.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({low}..{high})"


def number(value: float | None, digits: int) -> str:
    """Returns a number, or a dash for one that is not known."""
    return "-" if value is None else f"{value:.{digits}f}"


def megabytes(count: int | None) -> str:
    """Returns bytes in units of 10^6."""
    return number(None if count is None else count / 1e6, 1)
