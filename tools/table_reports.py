"""What the tables of `reproduce.py` say of the rows of their runs: Markdown, and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from tf_l2t.markdown import markdown_table
from tf_l2t.plots.style import COLOURS, LINES, logarithmic
from tf_l2t.score import ACCURACY, Score
from tf_l2t.training.statistics import paired_difference, plus_minus

TAUGHT = "taught"
NOISE, DEV = (45, 20, 0), (5000, 1000, 500, 100)
Rows = Mapping[str, Mapping[str, Any]]
"""The rows of results.json by their names; taught ones with the "teacher_seconds" of their
run, and with "teacher_steps": after how many the teacher was kept, and how many there were."""


def apart(settings: Mapping[str, Rows], score: Score = ACCURACY) -> str:
    """Returns a table for each setting, tested against the fixed loss that dev prefers."""
    return "\n\n".join(
        f"{setting}\n\n{_compared(rows, _best_fixed(rows, score), score)}"
        for setting, rows in settings.items()
    )


def _best_fixed(rows: Rows, score: Score) -> str | None:
    dev = score.field("dev")
    fixed = [name for name, row in rows.items() if not name.startswith(TAUGHT) and row[dev]]
    best = min if score.complement else max
    return best(fixed, key=lambda name: rows[name][dev]["mean"], default=None)


def _compared(rows: Rows, baseline: str | None, score: Score) -> str:
    header = ["loss", *(f"{split} {score.reported} %" for split in ("test", "dev"))]
    header += [f"minus {baseline}", "95 % interval", "p"] if baseline else []
    taught = any("teacher_seconds" in row for row in rows.values())
    header += ["chosen on dev", "seeds", "seconds a student"]
    lines = [[*header, *(["teacher's hours", "step kept"] if taught else [])]]
    for name, row in rows.items():
        found = None
        if baseline and name != baseline:
            found = _difference(row, rows[baseline], score)
        dev = row[score.field("dev")]
        chosen = [row.get("variant"), f"rate {row['learning_rate']:g}"]
        lines.append(
            [
                name,
                plus_minus(row[score.field("test")]),
                plus_minus(dev) if dev else "",
                *(_tested(found) if baseline else []),
                ", ".join(filter(None, chosen)),
                str(len(row["students"])),
                f"{row['seconds']['mean']:.0f}",
                *([_hours(row), _step_kept(row)] if taught else []),
            ]
        )
    return markdown_table(lines)


def side_by_side(settings: Mapping[str, Rows]) -> str:
    """Returns tables of the settings, and what the taught row is better by than each other.

    What a setting is called before its first comma is the title of a table, the rest of a column.
    """
    groups: dict[str, dict[str, Rows]] = {}
    for setting, rows in settings.items():
        title, _, column = setting.partition(", ")
        groups.setdefault(title, {})[column] = rows
    return "\n\n".join(_beside(title, columns) for title, columns in groups.items())


def _beside(title: str, columns: Mapping[str, Rows]) -> str:
    names = list(dict.fromkeys(name for rows in columns.values() for name in rows))
    errors = [[f"{title}: test error %", *columns]]
    against = [[f"{title}: taught minus …, 95 % interval", *columns]]
    for name in names:
        cells = [rows.get(name) for rows in columns.values()]
        errors.append([name, *(plus_minus(cell["test_error"]) if cell else "" for cell in cells)])
        if name != TAUGHT:
            pairs = zip(cells, columns.values(), strict=True)
            found = [
                _difference(rows[TAUGHT], cell) if cell and TAUGHT in rows else None
                for cell, rows in pairs
            ]
            against.append([name, *(" ".join(_tested(each)[:2]).strip() for each in found)])
    return f"{markdown_table(errors)}\n\n{markdown_table(against)}"


def _hours(row: Mapping[str, Any]) -> str:
    """Returns how long the training of a row's teacher took, "" if it has none."""
    return f"{row['teacher_seconds'] / 3600:.2f}" if "teacher_seconds" in row else ""


def _step_kept(row: Mapping[str, Any]) -> str:
    return "{} of {}".format(*row["teacher_steps"]) if "teacher_steps" in row else ""


def per_hour(settings: Mapping[str, Rows]) -> str:
    """Returns what ways of teaching gain over the fixed loss of their setting, and in what time.

    A gain is the mean difference of the errors, seed by seed, in points. By the one on dev, whose
    images no teacher saw either, a way may be chosen.
    """
    gains = [f"gain on {split}, 95 % interval" for split in ("dev", "test")]
    lines = [
        ["way of teaching", "test error %", "dev error %", *gains]
        + ["teacher's hours", "gain on dev an hour", "learning rate"]
    ]
    for rows in settings.values():
        fixed = next((row for row in rows.values() if "teacher_seconds" not in row), None)
        for name, row in rows.items():
            errors = [plus_minus(row[f"{split}_error"]) for split in ("test", "dev")]
            cells = _gains(row, fixed) if "teacher_seconds" in row else [""] * 4
            lines.append([name, *errors, *cells, f"{row['learning_rate']:g}"])
    return markdown_table(lines)


def _gains(row: Mapping[str, Any], fixed: Mapping[str, Any] | None) -> list[str]:
    if fixed is None:
        return ["", "", _hours(row), ""]
    hours = row["teacher_seconds"] / 3600
    dev, test = (_difference(fixed, row, split=split) for split in ("dev", "test"))
    gains = [" ".join(_tested(found)[:2]).strip() for found in (dev, test)]
    return [*gains, _hours(row), f"{100 * dev['mean'] / hours:+.2f}"]


def noisy_figure(figure: Figure, settings: Mapping[str, Rows]) -> None:
    """Draws the test error over the number of clean dev images, a panel for each noise."""
    names = list(dict.fromkeys(name for rows in settings.values() for name in rows))
    panels = {
        noise: places
        for noise in NOISE
        if (places := [dev for dev in DEV if noisy_setting(noise, dev) in settings])
    }
    figure.set_size_inches(3.3 + 3.6 * len(panels), 4.4)
    for axes, (noise, places) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        for k, name in enumerate(names):
            found = [(dev, settings[noisy_setting(noise, dev)].get(name)) for dev in places]
            cells = [(dev, row["test_error"]) for dev, row in found if row]
            axes.errorbar(
                [dev for dev, _ in cells],
                [100 * cell["mean"] for _, cell in cells],
                [100 * (cell["standard_error"] or 0) for _, cell in cells],
                color=COLOURS[k % len(COLOURS)],
                linestyle=LINES[k // len(COLOURS) % len(LINES)],
                linewidth=2.5 if name == TAUGHT else 1.2,
                marker="o",
                markersize=4,
                label=name,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.set_xlabel(f"clean dev images, {noise} % flips")
        logarithmic(axes.xaxis)
    logarithmic(figure.axes[0].yaxis)
    figure.axes[0].set_ylabel("test error, %")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper")


def noisy_setting(noise: int, dev: int) -> str:
    """Returns what the rows of wrong labels are compared within.

    Args:
        noise: of the flipped classes, in %.
        dev: number of clean dev images.
    """
    return f"{noise} % flips, {dev:,} dev"


def _difference(
    row: Mapping[str, Any],
    other: Mapping[str, Any],
    score: Score = ACCURACY,
    split: str = "test",
) -> dict[str, Any]:
    ours, theirs = (
        {seed: score.of(student, split) for seed, student in each["students"].items()}
        for each in (row, other)
    )
    return paired_difference([ours[seed] for seed in theirs], list(theirs.values()))


def _tested(difference: Mapping[str, Any] | None) -> list[str]:
    if difference is None:
        return ["", "", ""]
    interval = difference["confidence_95"]
    return [
        f"{100 * difference['mean']:+.2f}",
        "" if interval is None else "[{:+.2f}, {:+.2f}]".format(*(100 * x for x in interval)),
        "" if difference["p"] is None else f"{difference['p']:.2g}",
    ]
