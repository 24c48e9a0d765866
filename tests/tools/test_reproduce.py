"""Tables are made by commands of the package, and go on from what is there."""

import contextlib
import json
import pathlib
import re
import signal
import subprocess
import sys
import types

import pytest
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))

import reproduce
import tables
from tables import Run, Table

import tf_l2t
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.teacher_record import teacher_record

NOISE = (
    "Classification.corruption = @PairFlips()",
    "PairFlips.rate = 0.45",
    "Experiment.rows = [@cross_entropy/Row()]",
)


@pytest.fixture
def make(tiny_gin, tmp_path, monkeypatch):
    """Runs a table of one small run, with further arguments and bindings."""

    def make(*arguments: str, bindings: tuple[str, ...] = ()) -> tuple[int, dict]:
        setting = "45 % flips, 5,000 dev"
        run = Run("small", setting, "train", str(tiny_gin), (*NOISE, *bindings))
        table = Table((run,), tables.side_by_side, tables.noisy_figure)
        monkeypatch.setitem(reproduce.TABLES, "noisy", table)
        given = ["--table=noisy", f"--runs={tmp_path / 'runs'}", f"--results={tmp_path}"]
        code = reproduce.main([*given, *arguments])
        path = tmp_path / "table_noisy.json"
        return code, json.loads(path.read_text()) if path.exists() else {}

    return make


def test_a_table_is_made_and_goes_on(make, tiny_gin, tmp_path, capsys, monkeypatch) -> None:
    code, record = make("--report")
    assert (code, record) == (1, {})
    code, record = make()
    assert code == 0
    found = record["runs"]["small"]
    assert "tf_l2t.train --gin_file=" in found["made_by"]["command"]
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", found["commit"])
    assert "PairFlips.rate = 0.45" in found["config"]
    assert set(found["rows"]) == {"cross entropy", "taught"}
    (student, _) = found["rows"]["taught"]["students"].values()
    assert "test_accuracy" in student
    assert "training_loss" not in student
    markdown = (tmp_path / "table_noisy.md").read_text()
    assert "45 % flips: test error %" in markdown
    assert "| 5,000 dev " in markdown
    assert markdown.strip() in capsys.readouterr().out
    assert (tmp_path / "table_noisy.png").stat().st_size > 10_000
    kept = tf_l2t.load_teacher(tmp_path / "teachers" / "table_noisy" / "small", num_classes=10)
    assert kept.metadata["config"] == found["config"]
    # What is complete is not started again, whatever the commit.
    monkeypatch.setattr(reproduce, "_commit", lambda: "another")
    _, again = make()
    assert again == record
    log = (tmp_path / "runs" / "noisy" / "small.log").read_text()
    assert log.count("Writing to") == 1
    # What goes on with another commit says so.
    (tmp_path / "runs" / "noisy" / "small" / "results.json").unlink()
    _, again = make()
    resumed = again["runs"]["small"]
    assert (resumed["commit"], resumed["resumed_at"]) == (found["commit"], "another")
    for name, row in found["rows"].items():
        assert resumed["rows"][name]["test_error"] == row["test_error"]
    # Nor taken for the run of another command, or of other gin files.
    assert make("--report", bindings=("NUM_STEPS = 13",))[0] == 1
    text = tiny_gin.read_text()
    tiny_gin.write_text(text + "Experiment.seed = 1\n")
    assert make("--report")[0] == 1
    assert make("--keep", "--report")[0] == 1
    # A comment changes nothing.
    tiny_gin.write_text("# Of another time.\n\n" + text + "  # Another one.\n")
    assert make("--report")[0] == 0
    # Without the directory of the run, the numbers may stand for it.
    (tmp_path / "runs" / "noisy").rename(tmp_path / "elsewhere")
    assert make("--keep") == (0, again)
    assert not list((tmp_path / "runs" / "noisy").iterdir())


def test_a_run_takes_the_teacher_of_another(tiny_gin, tmp_path, monkeypatch, capsys) -> None:
    bindings = ("Experiment.rows = []", "Experiment.test_seeds = 1")
    run = Run("other", "other, seeds", "compare", str(tiny_gin), bindings, ("noisy", "small"))
    monkeypatch.setitem(reproduce.TABLES, "transfer", Table((run,), tables.side_by_side))
    given = ["--table=transfer", f"--runs={tmp_path / 'runs'}", f"--results={tmp_path}"]
    assert reproduce.main(given) == 1
    said = capsys.readouterr().out
    assert "other: left out; first do tools/reproduce.py --table noisy --only small" in said
    path = pathlib.Path("teachers") / "table_noisy" / "small"
    loss = tf_l2t.losses.DynamicBilinear()
    teacher = tf_l2t.teachers.attention_teacher(loss.coefficient_shapes(10), 13)
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    names = tuple("0123456789")
    (tmp_path / path).parent.mkdir(parents=True)
    record = teacher_record(loss, names, observed_examples=100, observe_every=5)
    export_teacher(tmp_path / path, teacher, theta, record)
    assert reproduce.main(given) == 0
    found = json.loads((tmp_path / "table_transfer.json").read_text())["runs"]["other"]
    assert list(found["rows"]) == ["taught"]
    assert found["taught_by"]["path"] == str(pathlib.Path("results") / path)
    assert f"--teacher={pathlib.Path('results') / path}" in found["made_by"]["command"]
    assert reproduce.main([*given, "--report"]) == 0
    # It is no run of a teacher that was trained anew, be it in runs/ or kept.
    export_teacher(tmp_path / path, teacher, [2 * value for value in theta], record)
    assert reproduce.main([*given, "--report"]) == 1
    (tmp_path / "runs" / "transfer").rename(tmp_path / "elsewhere")
    assert reproduce.main([*given, "--keep", "--report"]) == 1


def test_a_run_is_marked_with_the_files_that_it_began_with(make, tiny_gin, monkeypatch) -> None:
    start = reproduce._start

    def start_and_edit(*arguments):
        process = start(*arguments)
        assert process.wait() == 0
        tiny_gin.write_text(tiny_gin.read_text() + "Experiment.seed = 1\n")
        return process

    monkeypatch.setattr(reproduce, "_start", start_and_edit)
    code, record = make(bindings=("Experiment.test_seeds = 1", "TeacherSchedule.num_steps = 1"))
    assert (code, record) == (1, {})


def test_a_second_interruption_leaves_no_run_behind(monkeypatch) -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); input()"

    def interrupted(self) -> None:
        raise KeyboardInterrupt

    with contextlib.ExitStack() as ended:
        runs = [
            ended.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", deaf], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for _ in range(2)
        ]
        for run in runs:
            run.stdout.readline()
        with monkeypatch.context() as patch:
            patch.setattr(subprocess.Popen, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt):
                reproduce._end(runs)
        assert [run.wait(10) for run in runs] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize(("table", "run"), [("3", "lstm1-cross_entropy"), ("1", "mlp-fixed")])
def test_runs_of_translations_share_their_warm_starts(table, run, monkeypatch, tmp_path) -> None:
    commands = []

    class Failed:
        returncode = 1

        def __init__(self, command: list[str], **settings) -> None:
            commands.append(command)

        def poll(self) -> int:
            return self.returncode

    monkeypatch.setattr(reproduce, "subprocess", types.SimpleNamespace(Popen=Failed, STDOUT=0))
    monkeypatch.setattr(reproduce, "_commit", lambda: None)
    given = [f"--runs={tmp_path}", f"--results={tmp_path / 'results'}", f"--only={run}"]
    assert reproduce.main([f"--table={table}", *given]) == 1
    (command,) = commands
    assert f"--run_dir={tmp_path / table / run}" in command
    shared = f"--warm_starts={tmp_path / table / 'warm_starts'}"
    assert (shared in command) == (table == "3")


def test_a_part_of_a_table_may_be_all_that_is_asked_for(monkeypatch, tmp_path, capsys) -> None:
    runs = tuple(Run(name, name, "compare", "gin/tables/mlp.gin") for name in ("there", "other"))
    monkeypatch.setitem(reproduce.TABLES, "noisy", Table(runs, lambda settings: "a table"))
    there = lambda run, args: {"made_by": {}, "rows": {}} if run.name == "there" else None
    monkeypatch.setattr(reproduce, "_collect", there)
    given = ["--table=noisy", f"--runs={tmp_path / 'runs'}", f"--results={tmp_path}"]
    assert reproduce.main([*given, "--only", "there"]) == 0
    assert "Not complete: other (not begun)" in capsys.readouterr().out
    assert reproduce.main([*given, "--rows", "there", "other", "--report"]) == 1


def test_a_run_that_fails_is_named(make, tmp_path, capsys) -> None:
    code, record = make(bindings=("NUM_STEPS = 0",))
    assert (code, record) == (1, {})
    said = capsys.readouterr().out
    assert "small: failed, code 2" in said
    assert "Not complete: small (not begun)" in said
    assert "num_steps" in (tmp_path / "runs" / "noisy" / "small.log").read_text()


@pytest.mark.parametrize(
    ("table", "rows", "names"),
    [
        ("1", ["lenet"], ["lenet-fixed", "lenet-taught", "lenet-static"]),
        (
            "2",
            ["resnet8_cifar10"],
            [
                f"resnet8_cifar10-{row}"
                for row in (
                    "cross_entropy",
                    "label_smoothing",
                    "smooth_zero_one",
                    "large_margin_softmax",
                    "fixed_coefficients",
                    "taught",
                )
            ],
        ),
        (
            "3",
            ["lstm1_multi30k"],
            [
                f"lstm1-{part}"
                for part in (
                    "cross_entropy",
                    "label_smoothing",
                    "fixed_coefficients",
                    "reinforce",
                    "actor_critic",
                    "minimum_risk",
                    "softmax_margin",
                    "taught",
                )
            ],
        ),
        ("noisy", ["noise45-dev5000"], ["noise45-dev5000", "noise45-dev5000-sparse", "bilinear"]),
        ("long", ["warm", "whole"], [run.name for run in tables.TABLES["long"].runs]),
    ],
)
def test_rows_choose_the_runs_of_settings(table, rows, names, monkeypatch, tmp_path) -> None:
    started = []
    monkeypatch.setattr(reproduce, "_run_all", lambda todo, args: started.extend(todo) or 0)
    given = [f"--table={table}", f"--runs={tmp_path / 'runs'}", f"--results={tmp_path}"]
    # The other runs of the table are not there.
    assert reproduce.main([*given, "--rows", *rows]) == 1
    assert [run.name for run in started] == names


def test_settings_are_called_by_one_name_each() -> None:
    for table in tables.TABLES.values():
        called = {run.chosen_by: run.setting for run in table.runs}
        assert len(called) == len({*called.values()})
        assert all(called[run.chosen_by] == run.setting for run in table.runs)


@pytest.mark.parametrize(
    ("table", "name"),
    [("1", "table1"), ("3-iwslt14", "table3-iwslt14"), ("noisy", "table_noisy")],
)
def test_files_are_called_after_their_table(table, name) -> None:
    assert tables.record_name(table) == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "bogus"], "--only: there is no run ['bogus']; table noisy has ['small']"),
        (["--rows", "bogus"], "--rows: there is no setting ['bogus']; table noisy has ['small']"),
        (["--rows", "small", "--only", "small"], "not allowed with argument"),
        (["--jobs=0"], "--jobs must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(make, arguments, message, capsys) -> None:
    with pytest.raises(SystemExit):
        make(*arguments)
    assert message in capsys.readouterr().err


def row(test: list[float], dev: float, **more) -> dict:
    students = {str(k): {"test_accuracy": 1 - error} for k, error in enumerate(test)}
    mean = sum(test) / len(test)
    return {
        "students": students,
        "test_error": {"mean": mean, "standard_error": 0.001},
        "dev_error": {"mean": dev, "standard_error": None},
        "learning_rate": 0.1,
        "seconds": {"mean": 3.0},
        **more,
    }


def taught(row: dict, hours: float = 1.0, selections: tuple = (0.4, None, 0.5, 0.5)) -> dict:
    *during, last = selections
    steps = [{"step": k, "selection": score} for k, score in enumerate(during)]
    teacher = {"steps": steps, "last_selection": last}
    return {"rows": {"taught": row}, "seconds": {"teacher": 3600 * hours}, "teacher": teacher}


def lines_of(text: str) -> dict[str, str]:
    return {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}


def cells_of(text: str) -> dict[str, list[str]]:
    lines = lines_of(text).items()
    return {name: [cell.strip() for cell in line.split("|")[2:-1]] for name, line in lines}


def test_rows_are_tested_against_the_fixed_loss_that_dev_prefers() -> None:
    results = {
        "mlp-fixed": {
            "rows": {
                "cross entropy": row([0.03, 0.02, 0.04], 0.03),
                "label smoothing": row([0.02, 0.02, 0.02], 0.02, variant="epsilon 0.1"),
            }
        },
        "mlp-taught": taught(row([0.010, 0.011, 0.012], 0.01)),
        "mlp-static": taught(row([0.015, 0.014, 0.016], 0.01), 0.5, (0.6, None, 0.5, 0.6)),
    }
    table = tables.TABLES["1"]
    text = table.markdown(table.settings(results))
    assert "minus label smoothing" in text
    lines = lines_of(text)
    assert "| [-1.15, -0.65] |" in lines["taught"]
    assert "epsilon 0.1, rate 0.1" in lines["label smoothing"]
    assert set(lines) >= {"taught, static", "cross entropy"}
    cells = cells_of(text)
    assert cells["loss"][-3:] == ["seconds a student", "teacher's hours", "step kept"]
    # Of two that did as well the first is kept.
    assert cells["taught"][-3:] == ["3", "1.00", "2 of 3"]
    assert cells["taught, static"][-3:] == ["3", "0.50", "0 of 3"]
    assert cells["cross entropy"][-1] == ""
    # A part of it is there before the rest is.
    part = table.settings({"mlp-taught": results["mlp-taught"]})
    assert "minus" not in table.markdown(part)


def test_a_row_that_a_run_needs_does_not_take_the_place_of_the_tables() -> None:
    name, large = "cross entropy", "forward correction (estimated, large entries)"
    results = {
        "noise0-dev100": {"rows": {name: row([0.01, 0.02], 0.01)}},
        "noise0-dev100-sparse": {"rows": {name: row([0.03, 0.04], 0.01), large: row([0.02], 0.01)}},
    }
    (rows,) = tables.TABLES["noisy"].settings(results).values()
    assert rows == {
        name: results["noise0-dev100"]["rows"][name],
        large: results["noise0-dev100-sparse"]["rows"][large],
    }


def test_table_2_has_the_losses_of_each_data_set() -> None:
    fixed = {"cross entropy": row([0.40, 0.42, 0.41], 0.40)}
    results = {
        "resnet8_cifar10-cross_entropy": {"rows": fixed},
        "resnet8_cifar10-taught": taught(row([0.38, 0.41, 0.38], 0.39)),
        "resnet8_cifar100-cross_entropy": {"rows": {"cross entropy": row([0.7, 0.72, 0.71], 0.7)}},
    }
    table = tables.TABLES["2"]
    first, second, third, fourth = table.markdown(table.settings(results)).split("\n\n")
    assert (first, third) == ("ResNet-8, CIFAR-10", "ResNet-8, CIFAR-100")
    assert "minus cross entropy" in second
    assert cells_of(second)["taught"][2:4] == ["-2.00", "[-4.48, +0.48]"]
    assert list(lines_of(fourth)) == ["loss", "---", "cross entropy"]


def test_ways_of_teaching_are_measured_by_what_an_hour_gains() -> None:
    def with_dev(test: list[float], dev: list[float]) -> dict:
        found = row(test, sum(dev) / len(dev))
        for student, error in zip(found["students"].values(), dev, strict=True):
            student["dev_accuracy"] = 1 - error
        return found

    fixed = with_dev([0.40, 0.42, 0.41], [0.41, 0.43, 0.42])
    warm = with_dev([0.50, 0.52, 0.51], [0.51, 0.53, 0.52])
    results = {
        "fixed": {"rows": {"bilinear, fixed": fixed}},
        "full": taught(with_dev([0.39, 0.41, 0.40], [0.39, 0.41, 0.41]), 0.5),
        "warm-fixed": {"rows": {"bilinear, fixed, after a warm start": warm}},
        "warm": taught(with_dev([0.49, 0.52, 0.50], [0.50, 0.52, 0.51]), 0.25),
    }
    table = tables.TABLES["long"]
    cells = cells_of(table.markdown(table.settings(results)))
    assert list(cells)[2:] == [
        "bilinear, fixed",
        "whole students",
        "bilinear, fixed, after a warm start",
        "after a warm start",
    ]
    # Where three differences are the same, there is no interval.
    assert cells["whole students"] == [
        "40.00 ± 0.10", "40.33", "+1.67 [+0.23, +3.10]", "+1.00", "0.50", "+3.33", "0.1"
    ]  # fmt: skip
    assert cells["bilinear, fixed"] == ["41.00 ± 0.10", "42.00", "", "", "", "", "0.1"]
    # Over the fixed loss that begins as it does.
    assert cells["after a warm start"][2:6] == ["+1.00", "+0.67 [-0.77, +2.10]", "0.25", "+4.00"]
    # A part of it is there before the rest is.
    part = cells_of(table.markdown(table.settings({"full": results["full"]})))
    assert part["whole students"][2:6] == ["", "", "0.50", ""]


def test_the_best_translations_have_the_highest_bleu() -> None:
    def row_of(test: list[float], dev: float) -> dict:
        mean = {"mean": sum(test) / len(test), "standard_error": 0.001}
        students = {str(k): {"test_bleu": bleu} for k, bleu in enumerate(test)}
        found = {"students": students, "test_bleu": mean, "dev_bleu": {**mean, "mean": dev}}
        return {**found, "learning_rate": 0.003, "seconds": {"mean": 3.0}}

    words = {"cross entropy": row_of([0.31, 0.32, 0.30], 0.32)}
    sentences = {"minimum risk": row_of([0.33, 0.33, 0.325], 0.34)}
    results = {"lstm1-cross_entropy": {"rows": words}, "lstm1-minimum_risk": {"rows": sentences}}
    table = tables.TABLES["3"]
    text = table.markdown(table.settings(results))
    assert "| test BLEU % | dev BLEU % | minus minimum risk |" in " ".join(text.split())
    assert "-1.83" in text
