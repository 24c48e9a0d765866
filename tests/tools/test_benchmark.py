"""tools/benchmark.py measures what it says it does; no test here compares times."""

import contextlib
import functools
import importlib
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from tracing import assert_traced_by_warming_up

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

benchmark = importlib.import_module("benchmark")
benchmark_options = importlib.import_module("benchmark_options")
benchmark_report = importlib.import_module("benchmark_report")
benchmark_tasks = importlib.import_module("benchmark_tasks")
measuring = importlib.import_module("measuring")

_run = subprocess.run  # the tool's own is replaced below

STEPS, BATCH, WEIGHTS = 5, 8, 7850


def run(*options: str) -> subprocess.CompletedProcess:
    """Runs the tool in another directory and process."""
    return _run(
        [sys.executable, str(ROOT / "tools" / "benchmark.py"), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT.parent,
    )


@pytest.fixture(scope="module")
def result() -> dict:
    """What it says of two storage policies, the second measured here to spare the imports."""
    sizes = ["--steps", str(STEPS), "--segment_length", "3", "--lengths", "2,4", "--repeats", "2"]
    options = ["--student", "logistic_regression", "--batch", str(BATCH), *sizes]
    started = []

    def run_first_in_a_process(command: list[str], **_: object) -> subprocess.CompletedProcess:
        started.append(command)
        if len(started) == 1:
            return run(*command[2:])
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            code = benchmark.main(command[2:])
        return subprocess.CompletedProcess(command, code, stdout.getvalue())

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as stdout:
        patch.setattr(benchmark.subprocess, "run", run_first_in_a_process)
        assert benchmark.main([*options, "--storage", "memory,recompute", "--json"]) == 0
    assert [command[:2] for command in started] == [[sys.executable, benchmark.__file__]] * 2
    return json.loads(stdout.getvalue())


@pytest.fixture
def arguments() -> list[str]:
    return ["--student", "logistic_regression", "--batch", str(BATCH), "--dev_examples", "50"]


def test_what_was_measured(result):
    assert result["settings"]["steps"] == STEPS
    assert result["settings"]["storage"] == ["memory", "recompute"]
    assert result["machine"]["cores"] >= 1
    assert {"tensorflow", "keras", "tf_l2t"} <= set(result["versions"])
    assert [run["storage"] for run in result["runs"]] == ["memory", "recompute"]
    for each in result["runs"]:
        assert each["weights"] == WEIGHTS
        assert each["hypergradient_norm"] > 0
        assert [length["steps"] for length in each["lengths"]] == [2, 4]
        assert each["keras_fit"]["variant"] in each["keras_fit"]["seconds_per_step_of_trials"]
    norms = [each["hypergradient_norm"] for each in result["runs"]]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_times_and_ratios(result):
    for each in result["runs"]:
        times, ratios = each["seconds"], each["ratios"]
        assert set(times) == set(benchmark_report.PHASES)
        assert set(ratios) == set(benchmark_report.RATIOS)
        lengths = [length["seconds"] for length in each["lengths"]]
        for spread in [*times.values(), *ratios.values(), *lengths, each["new_student"]["seconds"]]:
            assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        for above, below in benchmark_report.RATIOS.values():
            spread = ratios[f"{above}/{below}"]
            assert spread["min"] >= times[above]["min"] / times[below]["max"]
            assert spread["max"] <= times[above]["max"] / times[below]["min"]
        parts = [times[part] for part in ("rollout", "dev_gradient", "reverse")]
        assert times["teacher_step"]["min"] >= sum(part["min"] for part in parts)
        assert times["teacher_step"]["max"] <= sum(part["max"] for part in parts)
        for length in each["lengths"]:
            per_step = length["seconds_per_step"]
            assert per_step == pytest.approx(length["seconds"]["median"] / length["steps"])


def test_bytes(result):
    stored = {run["storage"]: run["bytes_stored"] for run in result["runs"]}
    assert stored["memory"] == 4 * WEIGHTS * STEPS
    # Weights and velocities before the one block of both segments, and all states within it.
    assert stored["recompute"] == 4 * WEIGHTS * (2 * 1 + STEPS)
    for each in result["runs"]:
        memory = each["memory"]
        assert memory["whole_trajectory_bytes"] == 4 * WEIGHTS * STEPS
        if memory["peak_bytes"] is not None:
            difference = memory["peak_bytes"] - memory["baseline_bytes"]
            assert memory["beyond_baseline_bytes"] == max(0, difference)
            assert memory["ratio"] == memory["beyond_baseline_bytes"] / (4 * WEIGHTS * STEPS)


def test_one_policy_against_the_other(result):
    first, second = result["runs"]
    assert "against_first" not in first
    against = second["against_first"]
    assert against["storage"] == "memory"
    for key, unit in (("seconds", "teacher_step"), ("ratios", "teacher_step/plain_training")):
        medians = [run[key][unit]["median"] for run in (second, first)]
        assert against[unit] == pytest.approx(medians[0] / medians[1])


def test_table(result):
    text = benchmark_report.table(result)
    for words in ("logistic_regression (7,850 weights)", "| memory", "| recompute", "keras.Model"):
        assert words in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, lengths = lines[0], next(line for line in lines if "T of a teacher" in line)
    assert {line.count("|") for line in lines} == {header.count("|"), lengths.count("|")}


def test_table_without_proc(result, monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(measuring, "_CLEAR_REFS", tmp_path / "none" / "clear_refs")
    memory = measuring.peak_memory(lambda: None)
    assert memory["baseline_bytes"] is memory["beyond_baseline_bytes"] is None
    assert memory["reset"] is False
    runs = [{**run, "memory": {**run["memory"], **memory, "ratio": None}} for run in result["runs"]]
    assert "| -" in benchmark_report.table({**result, "runs": runs})


def test_unknown_student():
    done = run("--student", "nobody")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no student 'nobody'; there are densenet, lenet, logistic_regression, mlp" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--storage", "memory,tape"], "no storage policy 'tape'; there are memory, host, disk"),
        (["--steps", "0"], "argument --steps: give a whole number from 1, not '0'"),
        (["--lengths", "10,x"], "argument --lengths: give a whole number from 1, not 'x'"),
        (["--student_settings", "depth"], "--student_settings: give NAME=VALUE, not 'depth'"),
        (["--student_settings", "depth=2"], "unexpected keyword argument 'depth'"),
        (["--seed", "-1"], "--seed must be from 0, got -1"),
        (["--data", "text"], "--data text is not for logistic_regression; give one of mnist, cif"),
        (["--text", "."], "--text is not for logistic_regression; leave it out"),
        (["--vocabulary", "50"], "--vocabulary is not for logistic_regression; leave it out"),
        (["--update_rule", "lion"], "argument --update_rule: invalid choice: 'lion'"),
        (["--batch", "60000"], "batch_size is 60000 for 59000 training examples"),
    ],
)
def test_senseless_options(options, message, capsys):
    try:
        code = benchmark.main(["--student", "logistic_regression", *options])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        (7, ["--segment_length", "3"]),
        (2, ["--segment_length", "3"]),
        (9, ["--segment_length", "3", "--truncate", "4"]),
        (8, ["--segment_length", "3", "--storage", "recompute"]),
    ],
)
def test_all_is_traced_before_it_is_timed(steps, options, arguments):
    args = benchmark.arguments([*arguments, *options])
    task = benchmark_tasks.make_task(args)
    step = benchmark.TeacherStep(task, args, steps)
    assert_traced_by_warming_up(step)


def test_options_for_xla():
    """LeNet then pools in the way whose second derivative XLA gets right."""
    model = benchmark_options.builder("lenet", jit_compile=True)((28, 28, 1), 10)
    assert any(type(layer).__name__ == "BlockMaxPooling2D" for layer in model.layers)


def test_students_have_settings():
    build = benchmark_options.builder("resnet", False, "depth=14,channels=2,shortcut=projection")
    model = build((8, 8, 3), 3)
    assert model.name == "resnet14"
    assert len(model.trainable_variables) == 3 * (1 + 12 + 2) + 2
    assert benchmark_options.settings("") == {}
    for text in ("depth", "depth=", "2=3"):
        with pytest.raises(ValueError, match="give NAME=VALUE"):
            benchmark_options.settings(text)


def test_a_student_on_augmented_images(arguments):
    args = benchmark.arguments([*arguments, "--augment"])
    task = benchmark_tasks.make_task(args)
    assert task.describe()["augmentation"]["name"] == "CropAndFlip"


def test_ways_take_turns():
    called = []
    ways = {name: functools.partial(called.append, name) for name in "abc"}
    times = measuring.take_turns(ways, repeats=3)
    assert "".join(called) == "abc" + "bca" + "cab"
    assert [len(times[name]) for name in ways] == [3, 3, 3]


@pytest.mark.skipif(measuring.resident_bytes("VmHWM") is None, reason="the system has no /proc")
def test_peak_memory_counts_what_is_freed_again():
    size = 100_000_000
    memory = measuring.peak_memory(lambda: np.ones(size, np.uint8).sum(dtype=np.uint8))
    assert memory["peak_bytes"] >= size
    if memory["reset"]:
        assert 0.9 * size < memory["beyond_baseline_bytes"] < 1.5 * size
        assert measuring.peak_memory(lambda: None)["beyond_baseline_bytes"] < 0.5 * size
