"""Tables are made by commands of the package, and go on from what is there."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))

import reproduce
import tables
from tables import Run, Table

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


def test_a_table_is_made_and_goes_on(make, tiny_gin, tmp_path, capsys) -> None:
    code, record = make("--report")
    assert (code, record) == (1, {})
    code, record = make()
    assert code == 0
    found = record["runs"]["small"]
    assert "tf_l2t.train --gin_file=" in found["made_by"]["command"]
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
    # What is complete is not trained again.
    _, again = make()
    assert again["runs"]["small"]["rows"] == found["rows"]
    log = (tmp_path / "runs" / "noisy" / "small.log").read_text()
    assert log.count("Writing to") == log.count("Going on with") == 1
    # Nor taken for the run of another command, or of other gin files.
    assert make("--report", bindings=("NUM_STEPS = 13",))[0] == 1
    text = tiny_gin.read_text()
    tiny_gin.write_text(text + "# Another one.\n")
    assert make("--report")[0] == 1
    assert make("--keep", "--report")[0] == 1
    tiny_gin.write_text(text)
    assert make("--report")[0] == 0
    # Without the directory of the run, the numbers may stand for it.
    (tmp_path / "runs" / "noisy").rename(tmp_path / "elsewhere")
    assert make("--keep") == (0, again)
    assert not list((tmp_path / "runs" / "noisy").iterdir())


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


def test_a_run_that_fails_is_named(make, tmp_path, capsys) -> None:
    code, record = make(bindings=("NUM_STEPS = 0",))
    assert (code, record) == (1, {})
    said = capsys.readouterr().out
    assert "small: failed, code 2" in said
    assert "Not complete: small (not begun)" in said
    assert "num_steps" in (tmp_path / "runs" / "noisy" / "small.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "bogus"], "there is no run"), (["--jobs=0"], "--jobs must be at least 1")],
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


def test_rows_are_tested_against_the_fixed_loss_that_dev_prefers() -> None:
    results = {
        "mlp-fixed": {
            "rows": {
                "cross entropy": row([0.03, 0.02, 0.04], 0.03),
                "label smoothing": row([0.02, 0.02, 0.02], 0.02, variant="epsilon 0.1"),
            }
        },
        "mlp-taught": {"rows": {"taught": row([0.010, 0.011, 0.012], 0.01)}},
        "mlp-static": {"rows": {"taught": row([0.015, 0.014, 0.016], 0.01)}},
    }
    table = tables.TABLES["1"]
    text = table.markdown(table.settings(results))
    assert "minus label smoothing" in text
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert "| [-1.15, -0.65] |" in lines["taught"]
    assert "epsilon 0.1, rate 0.1" in lines["label smoothing"]
    assert set(lines) >= {"taught, static", "cross entropy"}
    # A part of it is there before the rest is.
    part = table.settings({"mlp-taught": results["mlp-taught"]})
    assert "minus" not in table.markdown(part)


def test_the_best_translations_have_the_highest_bleu() -> None:
    def row_of(test: list[float], dev: float) -> dict:
        mean = {"mean": sum(test) / len(test), "standard_error": 0.001}
        students = {str(k): {"test_bleu": bleu} for k, bleu in enumerate(test)}
        found = {"students": students, "test_bleu": mean, "dev_bleu": {**mean, "mean": dev}}
        return {**found, "learning_rate": 0.003, "seconds": {"mean": 3.0}}

    words = {"cross entropy": row_of([0.31, 0.32, 0.30], 0.32)}
    sentences = {"minimum risk": row_of([0.33, 0.33, 0.325], 0.34)}
    results = {"lstm1-words": {"rows": words}, "lstm1-sentences": {"rows": sentences}}
    table = tables.TABLES["3"]
    text = table.markdown(table.settings(results))
    assert "| test BLEU % | dev BLEU % | minus minimum risk |" in " ".join(text.split())
    assert "-1.83" in text
