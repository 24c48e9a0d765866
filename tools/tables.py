"""Which runs make each table, and what the tables say; `reproduce.py` runs them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tf_l2t.plots.style import COLOURS, LINES, STYLE, logarithmic
from tf_l2t.score import ACCURACY, BLEU, Score
from tf_l2t.training.statistics import markdown, paired_difference, plus_minus

TAUGHT = "taught"
Rows = Mapping[str, Mapping[str, Any]]
"""The rows of results.json by their names."""
Results = Mapping[str, Mapping[str, Any]]
"""What is kept of each run, by its name."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a table.

    Attributes:
        name: of its directory.
        setting: what its rows are compared within; several runs may share one.
        program: "train" or "compare".
        gin_file: its configuration.
        bindings: more of it.
        teacher: the run, as TABLE/NAME, whose teacher it takes.
        taught: what the table calls its taught row.
    """

    name: str
    setting: str
    program: str
    gin_file: str
    bindings: tuple[str, ...] = ()
    teacher: str | None = None
    taught: str = TAUGHT

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
        markdown: rows of each setting -> Markdown.
        figure: draws them; None for no figure.
    """

    runs: tuple[Run, ...]
    markdown: Callable[[Mapping[str, Rows]], str]
    figure: Callable[[Figure, Mapping[str, Rows]], None] | None = None

    def settings(self, results: Results) -> dict[str, dict[str, Any]]:
        """Returns the rows of each setting, by the results of the runs that are complete."""
        settings: dict[str, dict[str, Any]] = {}
        for run in self.runs:
            for name, row in results.get(run.name, {}).get("rows", {}).items():
                rows = settings.setdefault(run.setting, {})
                rows[run.taught if name == TAUGHT else name] = row
        return settings


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
    lines = [[*header, "chosen on dev", "seconds a student"]]
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
                f"{row['seconds']['mean']:.0f}",
            ]
        )
    return markdown(lines)


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
    return f"{markdown(errors)}\n\n{markdown(against)}"


def noisy_figure(figure: Figure, settings: Mapping[str, Rows]) -> None:
    """Draws the test error over the number of clean dev images, a panel for each noise."""
    names = list(dict.fromkeys(name for rows in settings.values() for name in rows))
    panels = {
        noise: places
        for noise in _NOISE
        if (places := [dev for dev in _DEV if _noisy_setting(noise, dev) in settings])
    }
    figure.set_size_inches(3.3 + 3.6 * len(panels), 4.4)
    for axes, (noise, places) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        for k, name in enumerate(names):
            found = [(dev, settings[_noisy_setting(noise, dev)].get(name)) for dev in places]
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


def write_figure(table: Table, settings: Mapping[str, Rows], path: pathlib.Path) -> None:
    """Draws the figure of a table, in the style of the package."""
    assert table.figure is not None
    with mpl.rc_context(STYLE):
        figure = Figure(layout="constrained")
        table.figure(figure, settings)
        figure.savefig(path)


def _difference(
    row: Mapping[str, Any], other: Mapping[str, Any], score: Score = ACCURACY
) -> dict[str, Any]:
    ours, theirs = (
        {seed: score.of(student, "test") for seed, student in each["students"].items()}
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


_NO_ROWS = "Experiment.rows = []"
_NOISE, _DEV = (45, 20, 0), (5000, 1000, 500, 100)


def _table1_runs() -> Iterable[Run]:
    for student, title in (("mlp", "Perceptron 784-500-10"), ("lenet", "LeNet")):
        file = f"gin/tables/{student}.gin"
        blind = (_NO_ROWS, "attention_teacher.num_keys = 1")
        yield Run(f"{student}-fixed", title, "compare", file)
        yield Run(f"{student}-taught", title, "train", file, (_NO_ROWS,))
        yield Run(f"{student}-static", title, "train", file, blind, taught="taught, static")


def _noisy_setting(noise: int, dev: int) -> str:
    return f"{noise} % flips, {dev:,} dev"


def _noisy_runs() -> Iterable[Run]:
    for noise, dev in itertools.product(_NOISE, _DEV):
        setting = _noisy_setting(noise, dev)
        bindings = (f"NOISE = {noise / 100}", f"DEV_SIZE = {dev}")
        yield Run(f"noise{noise}-dev{dev}", setting, "train", "gin/tables/noisy.gin", bindings)
    yield Run(
        "bilinear",
        _noisy_setting(45, 5000),
        "train",
        "gin/tables/noisy_bilinear.gin",
        taught="taught, bilinear",
    )


def _table3_runs() -> Iterable[Run]:
    for student, title in (("lstm1", "LSTM-1"), ("transformer", "Transformer")):
        for part, program in (("words", "compare"), ("taught", "train"), ("sentences", "compare")):
            file = f"gin/tables/{student}_multi30k_{part}.gin"
            yield Run(f"{student}-{part}", f"{title}, Multi30k", program, file)


def _iwslt14_runs() -> Iterable[Run]:
    for student, title in (
        ("lstm1", "LSTM-1"),
        ("lstm2", "LSTM-2"),
        ("transformer", "Transformer"),
    ):
        yield Run(student, f"{title}, IWSLT-14", "train", f"gin/paper/{student}_iwslt14.gin")


def _transfer_runs() -> Iterable[Run]:
    clean, noise = "1/lenet-taught", "noisy/noise45-dev5000"
    fashion = ("SOURCE = @tfds_images()", "tfds_images.name = 'fashion_mnist'")
    for teacher, kind, steps in ((clean, "clean", 8600), (noise, "noisy", 1600)):
        for name, title, bindings in (
            ("same", "as in its table, other seeds", ()),
            ("perceptron", "a perceptron", ("STUDENT = @mlp",)),
            ("shorter", f"{steps // 4:,} steps", (f"NUM_STEPS = {steps // 4}",)),
            ("longer", f"{2 * steps:,} steps", (f"NUM_STEPS = {2 * steps}",)),
            ("fashion", "Fashion-MNIST", fashion),
        ):
            yield Run(
                f"{kind}-{name}",
                f"{kind} labels, {title}",
                "compare",
                f"gin/tables/transfer_{kind}.gin",
                ("Experiment.seed = 1", *bindings),
                teacher,
            )


TABLES = {
    "1": Table(tuple(_table1_runs()), apart),
    "3": Table(tuple(_table3_runs()), functools.partial(apart, score=BLEU)),
    "3-iwslt14": Table(tuple(_iwslt14_runs()), functools.partial(apart, score=BLEU)),
    "noisy": Table(tuple(_noisy_runs()), side_by_side, noisy_figure),
    "transfer": Table(tuple(_transfer_runs()), side_by_side),
}
