"""Which runs make each table; `reproduce.py` runs them, `table_reports.py` words the tables."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from table_reports import (
    DEV,
    NOISE,
    TAUGHT,
    Rows,
    apart,
    noisy_figure,
    noisy_setting,
    per_hour,
    side_by_side,
)

from tf_l2t.plots.style import STYLE
from tf_l2t.score import BLEU

Results = Mapping[str, Mapping[str, Any]]
"""What is kept of each run, by its name."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a table.

    Attributes:
        name: of its directory.
        setting: what its rows are compared within; several runs may share one, and of two rows
            of one name the later run's is taken.
        program: "train" or "compare".
        gin_file: its configuration.
        bindings: more of it.
        teacher: the table and the run whose teacher it takes.
        taught: what the table calls its taught row.
        rows: what --rows calls the setting; if None, the name of the run.
        left_out: rows that it needs, and that the table has of another run.
    """

    name: str
    setting: str
    program: str
    gin_file: str
    bindings: tuple[str, ...] = ()
    teacher: tuple[str, str] | None = None
    taught: str = TAUGHT
    rows: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def chosen_by(self) -> str:
        """What --rows calls it by."""
        return self.rows or self.name

    def command(self, results: pathlib.Path) -> list[str]:
        """Returns the arguments after `python -m tf_l2t.PROGRAM`, but for --run_dir."""
        arguments = [f"--gin_file={self.gin_file}"]
        arguments += [f"--gin_bindings={binding}" for binding in self.bindings]
        if self.teacher:
            arguments.append(f"--teacher={kept_teacher(results, *self.teacher)}")
        return arguments


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its runs, and what is written of their results.

    Attributes:
        runs: in the order that they are started in.
        markdown: rows of each setting -> Markdown.
        figure: draws them; None for no figure.
        warm_starts: whether students of different runs begin alike, with a warm start that is kept
            beside the runs.
    """

    runs: tuple[Run, ...]
    markdown: Callable[[Mapping[str, Rows]], str]
    figure: Callable[[Figure, Mapping[str, Rows]], None] | None = None
    warm_starts: bool = False

    def settings(self, results: Results) -> dict[str, dict[str, Any]]:
        """Returns the rows of each setting, by the results of the runs that are complete."""
        settings: dict[str, dict[str, Any]] = {}
        for run in self.runs:
            result = results.get(run.name, {})
            for name, row in result.get("rows", {}).items():
                if name in run.left_out:
                    continue
                rows = settings.setdefault(run.setting, {})
                if name == TAUGHT and run.program == "train":
                    teacher = result["teacher"]
                    row = {
                        **row,
                        "teacher_seconds": result["seconds"]["teacher"],
                        "teacher_steps": (_kept_step(teacher), len(teacher["steps"])),
                    }
                rows[run.taught if name == TAUGHT else name] = row
        return settings


def _kept_step(teacher: Mapping[str, Any]) -> int:
    """Returns after how many of its steps a teacher is the one that was kept; 0 is untrained."""
    selections = {step["step"]: step["selection"] for step in teacher["steps"]}
    selections[len(selections)] = teacher["last_selection"]
    selected = {step: score for step, score in selections.items() if score is not None}
    # The first of equals, as in `TeacherTrainer`.
    return max(selected, key=selected.__getitem__)


def record_name(table: str) -> str:
    """Returns what the files of a table are called, such as "table1" and "table_noisy"."""
    return f"table{table}" if table[0].isdigit() else f"table_{table}"


def kept_teacher(results: pathlib.Path, table: str, run: str) -> pathlib.Path:
    """Returns where the teacher of a run is kept, for other runs and for users."""
    return results / "teachers" / record_name(table) / run


def write_figure(table: Table, settings: Mapping[str, Rows], path: pathlib.Path) -> None:
    """Draws the figure of a table, in the style of the package."""
    assert table.figure is not None
    with mpl.rc_context(STYLE):
        figure = Figure(layout="constrained")
        table.figure(figure, settings)
        figure.savefig(path)


_NO_ROWS = "Experiment.rows = []"


def _table1_runs() -> Iterable[Run]:
    # Teachers start from the best of the fixed coefficients on dev, which mlp.gin says of its own.
    for student, title, start in (
        ("mlp", "Perceptron 784-500-10", ()),
        ("lenet", "LeNet", ("attention_teacher.off_diagonal = 0.002",)),
    ):
        file = f"gin/tables/{student}.gin"
        taught = (_NO_ROWS, *start)
        blind = (*taught, "attention_teacher.num_keys = 1")
        yield Run(f"{student}-fixed", title, "compare", file, rows=student)
        if student == "mlp":
            # Takes the place of a row of the run before it, whose trials were all far off.
            yield Run("mlp-margin", title, "compare", "gin/tables/mlp_margin.gin", rows=student)
        yield Run(f"{student}-taught", title, "train", file, taught, rows=student)
        yield Run(
            f"{student}-static", title, "train", file, blind, taught="taught, static", rows=student
        )


def _table2_runs() -> Iterable[Run]:
    for data, title in (("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100")):
        rows = f"resnet8_{data}"
        title, file = f"ResNet-8, {title}", f"gin/tables/{rows}.gin"
        # A run for each row, so that as many as there are cores are made side by side.
        for part in (
            "cross_entropy",
            "label_smoothing",
            "smooth_zero_one",
            "large_margin_softmax",
            "fixed_coefficients",
        ):
            row = (f"Experiment.rows = [@{part}/Row()]",)
            yield Run(f"{rows}-{part}", title, "compare", file, row, rows=rows)
        yield Run(f"{rows}-taught", title, "train", file, (_NO_ROWS,), rows=rows)


def _long_runs() -> Iterable[Run]:
    whole, warm = "T = 400", "T = 400, 300 of them a warm start"
    fixed = ("Experiment.rows = [@fixed_coefficients/Row()]",)
    file = "gin/tables/long_full.gin"
    yield Run("fixed", whole, "compare", file, fixed, rows="whole")
    for way, taught in (
        ("full", "whole students"),
        ("short", "short students"),
        ("truncated", "truncated reverse"),
        ("growing", "growing students"),
    ):
        file = f"gin/tables/long_{way}.gin"
        yield Run(way, whole, "train", file, taught=taught, rows="whole")
    file = "gin/tables/long_warm.gin"
    name = "fixed_coefficients/Row.name = 'bilinear, fixed, after a warm start'"
    yield Run("warm-fixed", warm, "compare", file, (*fixed, name), rows="warm")
    yield Run("warm", warm, "train", file, taught="after a warm start", rows="warm")


def _noisy_runs() -> Iterable[Run]:
    for noise, dev in itertools.product(NOISE, DEV):
        setting = noisy_setting(noise, dev)
        bindings = (f"NOISE = {noise / 100}", f"DEV_SIZE = {dev}")
        name, sparse = f"noise{noise}-dev{dev}", "gin/tables/noisy_sparse.gin"
        yield Run(name, setting, "train", "gin/tables/noisy.gin", bindings)
        # Its matrix is that of a student on cross entropy.
        needed = ("cross entropy",)
        yield Run(
            f"{name}-sparse", setting, "compare", sparse, bindings, rows=name, left_out=needed
        )
    yield Run(
        "bilinear",
        noisy_setting(45, 5000),
        "train",
        "gin/tables/noisy_bilinear.gin",
        taught="taught, bilinear",
        rows="noise45-dev5000",
    )


def _table3_runs() -> Iterable[Run]:
    # Candidates are drawn from the student as it was at the start of a segment; those of a policy
    # should be its own.
    often = ("Budget.observe_every = 20",)
    # Few small steps on all dev sentences: what a teacher learns of some soon holds for these alone
    # (results/LOG.md).
    teacher = (
        "Translation.measured_examples = None",
        "keras.optimizers.Adam.learning_rate = 0.01",
        "TeacherSchedule.num_steps = 6",
        "TeacherSchedule.select_every = 3",
    )
    for student, title in (
        ("lstm1", "LSTM-1, Multi30k: each loss on the last 400 of 3,600 steps"),
        ("transformer", "Transformer, Multi30k: each loss on the last 400 of 5,200 steps"),
    ):
        rows = f"{student}_multi30k"
        file = f"gin/tables/{rows}.gin"
        for part, more in (
            ("cross_entropy", ()),
            ("label_smoothing", ()),
            ("fixed_coefficients", ()),
            ("reinforce", often),
            ("actor_critic", often),
            ("minimum_risk", often),
            ("softmax_margin", often),
        ):
            bindings = (f"Experiment.rows = [@{part}/Row()]", *more)
            yield Run(f"{student}-{part}", title, "compare", file, bindings, rows=rows)
        yield Run(f"{student}-taught", title, "train", file, teacher, rows=rows)


def _iwslt14_runs() -> Iterable[Run]:
    for student, title in (
        ("lstm1", "LSTM-1"),
        ("lstm2", "LSTM-2"),
        ("transformer", "Transformer"),
    ):
        rows = f"{student}_iwslt14"
        yield Run(student, f"{title}, IWSLT-14", "train", f"gin/paper/{rows}.gin", rows=rows)


def _rates(lowest: float) -> tuple[str, ...]:
    """Returns four rates for each row of clean labels; the bilinear loss wants 20 times as much."""
    rates = [lowest * 2**k for k in range(4)]
    bilinear = [20 * rate for rate in rates]
    return f"FIXED_LOSS_RATES = {tuple(rates)}", f"BILINEAR_RATES = {tuple(bilinear)}"


def _transfer_runs() -> Iterable[Run]:
    same = ("as in its table, other seeds", ())
    mlp = ("STUDENT = @mlp",)
    fashion = ("SOURCE = @tfds_images()", "tfds_images.name = 'fashion_mnist'")
    steps = lambda count, *more: (f"{count:,} steps", (f"NUM_STEPS = {count}", *more))
    # What others are taught at may be higher than what their teacher learned at.
    higher = "Experiment.learning_rates = %FIXED_LOSS_RATES"
    for kind, teacher, title, students in (
        (
            "clean",
            ("1", "lenet-taught"),
            "LeNet's teacher on clean labels",
            {
                "same": same,
                "perceptron": ("a perceptron", (*mlp, *_rates(0.05))),
                # At rates that one student prefers another of them diverges.
                "shorter": steps(2150, *_rates(0.025), "Experiment.search_seeds = 3"),
                "longer": steps(17200),
                "fashion": ("Fashion-MNIST", fashion),
            },
        ),
        (
            "mlp",
            ("1", "mlp-taught"),
            "Perceptron's teacher on clean labels",
            {
                "same": same,
                "longer": steps(17200),
                "fashion": ("Fashion-MNIST", (*fashion, *_rates(0.0125))),
            },
        ),
        (
            "noisy",
            ("noisy", "noise45-dev5000"),
            "LeNet's teacher on wrong labels",
            {
                "same": same,
                "perceptron": ("a perceptron", (*mlp, higher)),
                # A quarter of the length, and a quarter of the warm start.
                "shorter": steps(400, "Budget.warm_start_steps = 50", higher),
                "longer": steps(3200),
                "fashion": ("Fashion-MNIST", fashion),
            },
        ),
    ):
        for name, (column, bindings) in students.items():
            yield Run(
                f"{kind}-{name}",
                f"{title}, {column}",
                "compare",
                f"gin/tables/transfer_{kind}.gin",
                ("Experiment.seed = 1", *bindings),
                teacher,
            )


TABLES = {
    "1": Table(tuple(_table1_runs()), apart),
    "2": Table(tuple(_table2_runs()), apart),
    "3": Table(tuple(_table3_runs()), functools.partial(apart, score=BLEU), warm_starts=True),
    "3-iwslt14": Table(
        tuple(_iwslt14_runs()), functools.partial(apart, score=BLEU), warm_starts=True
    ),
    "long": Table(tuple(_long_runs()), per_hour),
    "noisy": Table(tuple(_noisy_runs()), side_by_side, noisy_figure),
    "transfer": Table(tuple(_transfer_runs()), side_by_side),
}
