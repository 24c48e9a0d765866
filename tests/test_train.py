"""The command line, in processes of its own, on real MNIST."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation.plan import Room
from tf_l2t.runtime import plan
from tf_l2t.runtime.checkpoints import Checkpoints
from tf_l2t.runtime.run_lock import RunLock

SHORT = ["--gin_bindings=Experiment.rows = []", "--gin_bindings=Experiment.test_seeds = 1"]


def results_of(directory: pathlib.Path) -> dict:
    return json.loads((directory / "results.json").read_text())


def without_times(value):
    if isinstance(value, list):
        return [without_times(item) for item in value]
    if isinstance(value, dict):
        return {
            k: without_times(v)
            for k, v in value.items()
            if k not in ("seconds", "table", "checksum")
        }
    return value


def points_of(directory: pathlib.Path) -> list[tuple[str, str, int]]:
    """Returns run, tag and step of all that TensorBoard is told, as often as it is told it."""
    return sorted(
        (path.parent.name, value.tag, event.step)
        for path in (directory / "tensorboard").rglob("events.*")
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for event in [tf.compat.v1.Event.FromString(record)]
        for value in event.summary.value
    )


def test_a_run_leaves_all_that_design_promises(tiny_gin, tmp_path, train_command) -> None:
    directory = tmp_path / "run"
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}")
    assert done.returncode == 0, done.stderr
    assert "| cross entropy " in done.stdout
    assert "| taught " in done.stdout
    assert "steps/s" in done.stderr
    results = results_of(directory)
    assert results["status"] == "complete"
    assert 'storage "memory", 31.4 kB a step: ' in done.stdout
    assert results["plan"]["storage"] == "memory"
    # The bars go as far as the plan said.
    for phase, steps in results["plan"]["student_steps"].items():
        assert f"{steps}/{steps}" in done.stderr, phase
    assert list(results["rows"]) == ["cross entropy", "bilinear, fixed", "taught"]
    for row in results["rows"].values():
        assert len(row["students"]) == 2
        errors = [1 - student["test_accuracy"] for student in row["students"].values()]
        assert row["test_error"]["mean"] == pytest.approx(sum(errors) / 2)
    seeds = [tuple(row["students"]) for row in results["rows"].values()]
    assert len(set(seeds)) == 1
    assert len(results["teacher"]["steps"]) == 3
    assert len(results["data"]["data_sha256"]) == 64
    for part in ("config.gin", "teacher/saved_model.pb", "teacher/teacher.json", "phi.npz"):
        assert (directory / part.replace("phi.npz", "coefficients.npz")).is_file(), part
    assert any((directory / "checkpoints").iterdir())
    assert {path.name for path in (directory / "figures").iterdir()} == {
        "dev_measure.png",
        "learning_curves.png",
        "loss_surface.png",
        "phi.png",
        "phi_of_classes.png",
        "test_error.png",
        "training_loss.png",
    }
    assert {path.parent.name for path in (directory / "tensorboard").rglob("events.*")} >= {
        "teacher",
        "begin_of_student",
        "middle_of_student",
        "end_of_student",
        "student",
        "taught",
        "cross entropy",
    }


def test_rates_may_be_tried_with_the_teacher_that_has_learned(
    tiny_gin, tmp_path, train_command
) -> None:
    bindings = ("--gin_bindings=Experiment.teacher_learning_rate = 0.7",)
    directory = tmp_path / "run"
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}", *bindings)
    assert done.returncode == 0, done.stderr
    results = results_of(directory)
    assert list(results["search"]) == ["cross entropy", "bilinear, fixed", "taught"]
    assert list(results["search"]["taught"]) == ["0.5", "1"]
    for phase, steps in results["plan"]["student_steps"].items():
        assert f"{steps}/{steps}" in done.stderr, phase
    # No rate that was tried is that of the teacher's students.
    plain = train_command(f"--gin_file={tiny_gin}", f"--run_dir={tmp_path / 'plain'}")
    assert plain.returncode == 0, plain.stderr
    first = lambda found: found["teacher"]["steps"][0]["measure"]
    assert first(results) != first(results_of(tmp_path / "plain"))


def test_the_operative_configuration_gives_the_same_run(tiny_gin, tmp_path, train_command) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_command(f"--gin_file={tiny_gin}", f"--run_dir={first}")
    done = train_command(f"--gin_file={first / 'config.gin'}", f"--run_dir={second}")
    assert done.returncode == 0, done.stderr
    assert (first / "config.gin").read_text() == (second / "config.gin").read_text()
    one, other = results_of(first), results_of(second)
    for part in ("search", "rows"):
        assert without_times(one[part]) == without_times(other[part])
    assert without_times(one["teacher"]) == without_times(other["teacher"])


def test_a_teacher_may_learn_on_shorter_students_and_never_see_the_dev_images(
    tiny_gin, tmp_path, train_command
) -> None:
    tiny_gin.write_text(
        tiny_gin.read_text()
        + """
Experiment.teacher_task = @teaching/Classification()
teaching/Classification.reserved = 5000
teaching/Classification.dev_size = 15000
Experiment.teacher_budget = @teaching/Budget()
teaching/Budget.num_steps = 6
teaching/Budget.observe_every = 3
Experiment.rows = []
"""
    )
    directory = tmp_path / "run"
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}")
    assert done.returncode == 0, done.stderr
    results = results_of(directory)
    assert results["data"]["examples"] == {"train": 55000, "dev": 5000, "test": 10000}
    assert results["teacher_data"]["examples"] == {"train": 40000, "dev": 15000, "test": 10000}
    assert (results["budget"]["num_steps"], results["teacher_budget"]["num_steps"]) == (12, 6)
    record = json.loads((directory / "teacher" / "teacher.json").read_text())
    assert record["state"]["observe_every"] == record["budget"]["observe_every"] == 3
    # A dev accuracy of 15,000 images, and students of the table with segments of their own.
    accuracy = results["teacher"]["steps"][0]["score"]
    assert accuracy * 15000 == pytest.approx(round(accuracy * 15000), abs=0.01)
    (student, _) = results["rows"]["taught"]["students"].values()
    assert student["segment_starts"] == [0, 5, 10]


def test_an_interrupted_run_goes_on_to_the_same_numbers(tiny_gin, tmp_path, train_command) -> None:
    arguments = [f"--gin_file={tiny_gin}", "--gin_bindings=TeacherSchedule.num_steps = 8"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_command(*arguments, f"--run_dir={whole}")
    command = [sys.executable, "-m", "tf_l2t.train", *arguments, f"--run_dir={broken}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((broken / "checkpoints").glob("*2.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "The same command goes on" in errors
    assert "Traceback" not in errors
    assert results_of(broken)["status"] == "interrupted"
    done = train_command(*arguments, f"--run_dir={broken}")
    assert done.returncode == 0, done.stderr
    assert "Going on with" in done.stdout
    one, other = results_of(whole), results_of(broken)
    assert without_times(one["teacher"]) == without_times(other["teacher"])
    assert without_times(one["rows"]) == without_times(other["rows"])
    assert one["status"] == other["status"] == "complete"
    assert points_of(broken) == points_of(whole)


def test_another_process_and_deterministic_ops_give_the_same_bits(
    tiny_gin, tmp_path, train_command
) -> None:
    arguments = [f"--gin_file={tiny_gin}", "--gin_bindings=Experiment.test_seeds = 1"]
    one, other = tmp_path / "one", tmp_path / "other"
    assert train_command(*arguments, f"--run_dir={one}").returncode == 0
    command = [sys.executable, "-m", "tf_l2t.train", *arguments, f"--run_dir={other}"]
    subprocess.run([*command, "--deterministic"], check=True, capture_output=True)
    (theta, record), (others, other_record) = (
        Checkpoints(directory / "checkpoints").newest() for directory in (one, other)
    )
    assert without_times(record) == without_times(other_record)
    assert theta.keys() == others.keys()
    for name, array in theta.items():
        np.testing.assert_array_equal(array, others[name])
    for part in ("search", "rows"):
        assert without_times(results_of(one)[part]) == without_times(results_of(other)[part])
    done = train_command(*arguments, f"--run_dir={other}")
    assert done.returncode == 2
    assert "there: DETERMINISTIC = True" in done.stderr


def test_two_processes_on_one_directory(tiny_gin, tmp_path, train_command) -> None:
    directory = tmp_path / "run"
    lock = RunLock(directory)
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}")
    assert done.returncode == 2
    assert f"in use by process {os.getpid()} on " in done.stderr
    assert [path.name for path in directory.iterdir()] == [".lock"]
    lock.release()


def test_overwrite_and_resume(tiny_gin, tmp_path, train_command) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}"]
    arguments += [f"--gin_bindings=Experiment.{b}" for b in ("rows = []", "test_seeds = 1")]
    assert train_command(*arguments, "--resume=must").returncode == 2
    assert train_command(*arguments, "--resume=never").returncode == 0
    before = results_of(directory)
    done = train_command(*arguments, "--resume=never")
    assert done.returncode == 2
    assert "--resume=never, and" in done.stderr
    done = train_command(*arguments, "--overwrite", "--resume=must")
    assert done.returncode == 2
    assert results_of(directory) == before
    done = train_command(*arguments, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert "Writing to" in done.stdout
    assert without_times(results_of(directory)) == without_times(before)
    assert results_of(directory)["seconds"] != before["seconds"]


def test_a_finished_run_is_not_run_again(tiny_gin, tmp_path, train_command) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}"]
    arguments.append("--gin_bindings=TeacherSchedule.num_steps = 1")
    train_command(*arguments)
    before = results_of(directory)
    done = train_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert without_times(results_of(directory)) == without_times(before)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--gin_file"),
        (["--gin_file=gin/nowhere.gin"], "nowhere.gin"),
        (["--gin_file=TINY", "--gin_bindings=Budgett.num_steps = 3"], "Budgett"),
        (["--gin_file=TINY", "--gin_bindings=Budget.steps = 3"], "steps"),
        (
            ["--gin_file=TINY", "--gin_bindings=NUM_STEPS = 0"],
            "num_steps must be at least 1, got 0",
        ),
        (["--gin_file=TINY", "--gin_bindings=NUM_STEPS = "], "NUM_STEPS"),
        (["--gin_file=TINY", "--gin_bindings=Classification.batch_size = 60000"], "batch_size"),
        (["--gin_file=TINY", "--gin_bindings=Classification.dev_size = 60000"], "dev_size"),
        (["--gin_file=TINY", "--gin_bindings=Experiment.storage = 'cloud'"], "storage"),
        (["--gin_file=TINY", "--gin_bindings=Experiment.learning_rates = ()"], "learning_rates"),
        (["--gin_file=TINY", "--gin_bindings=Experiment.warm_starts = 'dir'"], "warm_starts"),
        (["--gin_file=TINY", "--gin_bindings=Experiment.loss = @CrossEntropy()"], "coefficient"),
        (["--gin_file=TINY", "extra"], "extra"),
        (["--gin_file=TINY", "--gin_bindings=NUM_STEPS = 8e1"], "num_steps must be a whole number"),
        (["--gin_file=TINY", "--gin_bindings=Experiment.test_seeds = 3.0"], "test_seeds"),
        (["--gin_file=TINY", "--gin_bindings=Experiment.seed = 50"], "seed must be in [0, 50)"),
        (["--gin_file=TINY", "--gin_bindings=Classification.resplit = True"], "resplit=True"),
        (["--gin_file=TINY", "--gin_bindings=Adam.learning_rate = 0.1"], "Ambiguous"),
        (["--gin_file=TINY", "--gin_bindings=SOURCE = @embedded_mnist"], "num_classes"),
        (
            ["--gin_file=TINY", "--gin_bindings=Experiment.optimizer = @keras.optimizers.Adam"],
            "optimizer must be a Optimizer",
        ),
        (
            ["--gin_file=TINY", "--gin_bindings=fixed_coefficients/Row.teacher = None"],
            "phi",
        ),
        (["--gin_file=TINY", "--gin_bindings=tf_l2t.SGD.momentum = 2.0"], "momentum"),
        (["--gin_file=TINY", "--gin_bindings=NUM_STEP = 3"], "NUM_STEP, which nothing reads"),
        (
            ["--gin_file=TINY", "--gin_bindings=Experiment.rows = [@fixed/Row]"],
            "rows must be a Row",
        ),
        (
            ["--gin_file=TINY", "--gin_bindings=Experiment.teacher = @fixed_teacher"],
            "teacher has no parameters",
        ),
        (
            ["--gin_file=TINY", "--gin_bindings=Experiment.truncate = 4"],
            "truncate=4 leaves out 8 steps",
        ),
        (
            ["--gin_file=TINY"]
            + [
                f"--gin_bindings={binding}"
                for binding in ("TeacherSchedule.growth = (0.5, 1)", "cosine.warmup_steps = 6")
            ],
            "warmup_steps must be below T=5",
        ),
        (
            ["--gin_file=TINY"]
            + [
                f"--gin_bindings={binding}"
                for binding in (
                    "Experiment.teacher_task = @teaching/Classification()",
                    "teaching/Classification.reserved = 4000",
                )
            ],
            "teacher_task has reserved=4000",
        ),
    ],
)
def test_bad_input_ends_in_one_clear_message(
    arguments, named, tiny_gin, tmp_path, train_command
) -> None:
    directory = tmp_path / "run"
    given = [argument.replace("TINY", str(tiny_gin)) for argument in arguments]
    done = train_command(*given, f"--run_dir={directory}")
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not directory.exists()


def test_a_binding_that_changes_nothing_is_named(tiny_gin, tmp_path, train_command) -> None:
    bindings = [
        ("mlp.hidden = (7,)", False),
        ("no_such_row/Row.learning_rates = (0.3,)", False),
        ("tf_l2t.SGD.momentum = 0.5", True),
        ("NUM_STEPS = 1", True),
    ]
    given = [f"--gin_bindings={binding}" for binding, _ in bindings]
    done = train_command(f"--gin_file={tiny_gin}", *given, f"--run_dir={tmp_path / 'run'}")
    for binding, changes in bindings:
        assert (f"{binding!r} changes nothing" in done.stderr) != changes, binding


def test_students_that_fit_nowhere_end_the_command_before_any_work(
    tiny_gin, tmp_path, train_command, monkeypatch
) -> None:
    monkeypatch.setattr(plan, "room", lambda: Room(memory=100_000, accelerator=None, disk=0))
    directory = tmp_path / "run"
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}")
    assert done.returncode == 2
    assert "storage='auto' finds no room for the trajectory of 12 steps of 31.4 kB" in done.stderr
    assert not directory.exists()
    monkeypatch.setattr(plan, "room", lambda: Room(memory=1_020_000, accelerator=None, disk=0))
    short = [*SHORT, "--gin_bindings=TeacherSchedule.num_steps = 1"]
    short.append("--gin_bindings=Experiment.learning_rates = (0.5,)")
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}", *short)
    assert done.returncode == 0, done.stderr
    assert 'storage "recompute"' in done.stdout


def test_a_directory_of_another_configuration_is_refused(tiny_gin, tmp_path, train_command) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "config.gin").write_text("Budget.num_steps = 99\n")
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={directory}")
    assert done.returncode == 2
    assert "another configuration" in done.stderr
    assert "there: Budget.num_steps = 99" in done.stderr
    assert sorted(path.name for path in directory.iterdir()) == ["config.gin"]


def test_a_directory_with_something_else_is_refused(tiny_gin, tmp_path, train_command) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    done = train_command(f"--gin_file={tiny_gin}", f"--run_dir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert "not the directory of a run" in done.stderr


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tiny_gin, tmp_path, train_command, caplog
) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}"]
    train_command(*arguments)
    before = results_of(directory)
    newest = max((directory / "checkpoints").iterdir())
    os.truncate(newest, newest.stat().st_size // 2)
    assert Checkpoints(directory / "checkpoints").newest() is not None
    done = train_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"{newest} is damaged" in caplog.text
    after = results_of(directory)["teacher"]
    assert without_times(after) == without_times(before["teacher"])


def test_when_no_checkpoint_can_be_read_nothing_is_touched(
    tiny_gin, tmp_path, train_command
) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}"]
    train_command(*arguments)
    for path in (directory / "checkpoints").iterdir():
        path.write_bytes(b"not a checkpoint")
    before = (directory / "results.json").read_bytes()
    done = train_command(*arguments)
    assert done.returncode == 2
    assert "none of the" in done.stderr
    assert "Traceback" not in done.stderr
    assert (directory / "results.json").read_bytes() == before
