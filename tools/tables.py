"""Which runs make each table, and what the tables say; `reproduce.py` runs them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tf_l2t.plots.style import COLOURS, LINES, STYLE, logarithmic
from tf_l2t.training.statistics import paired_difference

TAUGHT, STATIC = "taught", "taught, static"
ORACLE = "forward correction (oracle)"


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a table.

    Attributes:
        name: of its directory.
        program: "train" or "compare".
        gin_file: its configuration.
        bindings: more of it.
        teacher: name of the run, as TABLE/NAME, whose teacher it takes.
    """

    name: str
    program: str
    gin_file: str
    bindings: tuple[str, ...] = ()
    teacher: str | None = None

    def command(self, runs: pathlib.Path) -> list[str]:
        """Returns the arguments after `python -m tf_l2t.PROGRAM`, but for --run_dir."""
        arguments = [f"--gin_file={self.gin_file}"]
        arguments += [f"--gin_bindings={binding}" for binding in self.bindings]
        if self.teacher:
            arguments.append(f"--teacher={runs / self.teacher / 'teacher'}")
        return arguments


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its runs, and what is written of their results.

    Attributes:
        runs: in the order that they are started in.
        markdown: results of the runs that are complete, by name -> Markdown.
        figure: draws them; None for no figure.
    """

    runs: tuple[Run, ...]
    markdown: Callable[[Mapping[str, Any]], str]
    figure: Callable[[Figure, Mapping[str, Any]], None] | None = None


Results = Mapping[str, Mapping[str, Any]]
NO_ROWS = "Experiment.rows = []"
STUDENTS = {"lenet": "LeNet", "mlp": "Perceptron 784-500-10"}


def _table1_runs() -> Iterable[Run]:
    for student in ("mlp", "lenet"):
        file = f"gin/tables/{student}.gin"
        one_key = "attention_teacher.num_keys = 1"
        yield Run(f"{student}-fixed", "compare", file)
        yield Run(f"{student}-taught", "train", file, (NO_ROWS,))
        yield Run(f"{student}-static", "train", file, (NO_ROWS, one_key))


def table1(results: Results) -> str:
    """Returns Table 1: a table for each student, tested against the fixed loss that dev prefers."""
    return "\n\n".join(
        f"{title}\n\n{_compared(rows, _best_fixed(rows))}"
        for student, title in STUDENTS.items()
        if (rows := _rows_of(student, results))
    )


def _rows_of(student: str, results: Results) -> dict[str, Any]:
    names = {"fixed": None, "static": STATIC, "taught": TAUGHT}
    return {
        new or name: row
        for part, new in names.items()
        for name, row in results.get(f"{student}-{part}", {}).get("rows", {}).items()
    }


def _best_fixed(rows: Mapping[str, Any]) -> str | None:
    fixed = [name for name in rows if name not in (TAUGHT, STATIC)]
    return min(fixed, key=lambda name: rows[name]["dev_error"]["mean"], default=None)


def _compared(rows: Mapping[str, Any], baseline: str | None) -> str:
    header = ["loss", "test error %", "dev error %"]
    header += [f"minus {baseline}", "95 % interval", "p"] if baseline else []
    lines = [[*header, "chosen on dev", "seconds a student"]]
    for name, row in rows.items():
        found = _difference(row, rows[baseline]) if baseline and name != baseline else None
        chosen = [row.get("variant"), f"rate {row['learning_rate']:g}"]
        lines.append(
            [
                name,
                _percent(row["test_error"]),
                _percent(row["dev_error"]),
                *(_tested(found) if baseline else []),
                ", ".join(filter(None, chosen)),
                f"{row['seconds']['mean']:.0f}",
            ]
        )
    return _markdown(lines)


def _noisy_runs() -> Iterable[Run]:
    settings = [(45, 5000), (45, 1000), (45, 500), (45, 100), (20, 5000), (0, 5000)]
    for noise, dev in settings:
        bindings = (f"NOISE = {noise / 100}", f"DEV_SIZE = {dev}")
        yield Run(f"noise{noise}-dev{dev}", "train", "gin/tables/noisy.gin", bindings)


def noisy(results: Results) -> str:
    """Returns the table of wrong labels: test errors, then the taught row against each other."""
    names = list(dict.fromkeys(name for found in results.values() for name in found["rows"]))
    settings = {
        name: f"{found['data']['corruption']['rate']:.0%} noise, "
        f"{found['data']['examples']['dev']:,} dev"
        for name, found in results.items()
    }
    errors = [["test error %", *settings.values()]]
    against = [["taught minus …, with 95 % interval", *settings.values()]]
    for row in names:
        shown = [found["rows"].get(row) for found in results.values()]
        errors.append([row, *(_percent(cell["test_error"]) if cell else "" for cell in shown)])
        if row != TAUGHT:
            cells = []
            for cell, found in zip(shown, results.values(), strict=True):
                difference = _difference(found["rows"][TAUGHT], cell) if cell else None
                cells.append(" ".join(_tested(difference)[:2]))
            against.append([row, *cells])
    return f"{_markdown(errors)}\n\n{_markdown(against)}"


def noisy_figure(figure: Figure, results: Results) -> None:
    """Draws the test error over the number of clean dev images, and over the noise."""
    figure.set_size_inches(9.6, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    settings = {
        name: (found["data"]["examples"]["dev"], found["data"]["corruption"]["rate"])
        for name, found in results.items()
    }
    most, worst = (max(values) for values in zip(*settings.values(), strict=True))
    names = list(dict.fromkeys(name for found in results.values() for name in found["rows"]))
    for axes, coordinate, fixed in ((left, 0, (1, worst)), (right, 1, (0, most))):
        chosen = sorted(
            (setting[coordinate], name)
            for name, setting in settings.items()
            if setting[fixed[0]] == fixed[1]
        )
        for k, row in enumerate(names):
            cells = [(x, results[run]["rows"][row]["test_error"]) for x, run in chosen]
            axes.errorbar(
                [100 * x if coordinate else x for x, _ in cells],
                [100 * cell["mean"] for _, cell in cells],
                [100 * (cell["standard_error"] or 0) for _, cell in cells],
                color=COLOURS[k % len(COLOURS)],
                linestyle=LINES[k // len(COLOURS)] if row != TAUGHT else "-",
                linewidth=2.5 if row == TAUGHT else 1.2,
                marker="o",
                markersize=4,
                label=row,
            )
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    logarithmic(left.yaxis)
    left.set_xscale("log")
    logarithmic(left.xaxis)
    left.set_xlabel(f"clean dev images ({worst:.0%} flips)")
    left.set_ylabel("test error, %")
    right.set_xlabel(f"labels that are flipped in the five pairs, % ({most:,} dev images)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")


def write_figure(table: Table, results: Results, path: pathlib.Path) -> None:
    """Draws the figure of a table, in the style of the package."""
    assert table.figure is not None
    with mpl.rc_context(STYLE):
        figure = Figure(layout="constrained")
        table.figure(figure, results)
        figure.savefig(path)


def _difference(row: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    ours, theirs = (
        {seed: 1 - student["test_accuracy"] for seed, student in each["students"].items()}
        for each in (row, other)
    )
    return paired_difference([ours[seed] for seed in theirs], list(theirs.values()))


def _percent(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    error = value["standard_error"]
    return f"{100 * value['mean']:.2f}" + ("" if error is None else f" ± {100 * error:.2f}")


def _tested(difference: Mapping[str, Any] | None) -> list[str]:
    if difference is None:
        return ["", "", ""]
    interval = difference["confidence_95"]
    return [
        f"{100 * difference['mean']:+.2f}",
        "" if interval is None else "[{:+.2f}, {:+.2f}]".format(*(100 * x for x in interval)),
        "" if difference["p"] is None else f"{difference['p']:.2g}",
    ]


def _markdown(lines: list[list[str]]) -> str:
    lines = [lines[0], ["---"] + ["---:"] * (len(lines[0]) - 1), *lines[1:]]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


TABLES = {
    "1": Table(tuple(_table1_runs()), table1),
    "noisy": Table(tuple(_noisy_runs()), noisy, noisy_figure),
}
