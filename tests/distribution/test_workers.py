"""Two workers of `python -m tf_l2t.train` on this machine, one of which dies."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from clusters import clusters

STEPS = 4


def start(gin_files: list[pathlib.Path], directories: list[pathlib.Path]) -> list[subprocess.Popen]:
    processes = []
    for index, environment in enumerate(clusters(len(directories))):
        arguments = [
            f"--gin_file={gin_files[index]}",
            f"--run_dir={directories[index]}",
            "--gin_bindings=Distribution.strategy = 'multi_worker'",
            f"--gin_bindings=TeacherSchedule.num_steps = {STEPS}",
            "--gin_bindings=TeacherSchedule.students_per_step = 2",
        ]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "tf_l2t.train", *arguments],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def ends_of(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    try:
        outputs = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *output) for p, output in zip(processes, outputs, strict=True)]


def test_a_worker_that_dies_is_reported_and_the_run_goes_on(
    tiny_gin, tmp_path, train_command
) -> None:
    # The second worker's storage is another one: it gets what it needs from the chief.
    directories = [tmp_path / "chief", tmp_path / "other"]
    processes = start([tiny_gin] * 2, directories)
    deadline = time.monotonic() + 200
    checkpoints = directories[0] / "checkpoints"
    while not list(checkpoints.glob("teacher-*2.npz")) and time.monotonic() < deadline:
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    (code, _, errors), _ = ends_of(processes)
    assert code == 1, errors
    assert "worker 0 cannot reach another worker any more" in errors
    assert "Traceback" not in errors

    (code, output, errors), (other_code, other_output, _) = ends_of(
        start([tiny_gin] * 2, directories)
    )
    assert code == other_code == 0, errors
    assert "Going on with" in output
    assert not other_output.strip()
    assert not directories[1].exists()

    alone = tmp_path / "alone"
    train_command(
        f"--gin_file={tiny_gin}",
        f"--run_dir={alone}",
        f"--gin_bindings=TeacherSchedule.num_steps = {STEPS}",
        "--gin_bindings=TeacherSchedule.students_per_step = 2",
    )
    two, one = (json.loads((d / "results.json").read_text()) for d in (directories[0], alone))
    assert len(two["teacher"]["steps"]) == len(one["teacher"]["steps"]) == STEPS
    for ours, theirs in zip(two["teacher"]["steps"], one["teacher"]["steps"], strict=True):
        assert ours["measure"] == pytest.approx(theirs["measure"], rel=1e-5)
    for name, row in one["rows"].items():
        assert two["rows"][name]["test_error"] == pytest.approx(row["test_error"], abs=2e-4)


def test_workers_that_differ_refuse_to_start(tiny_gin, tmp_path) -> None:
    other = tmp_path / "other.gin"
    other.write_text(tiny_gin.read_text() + "\nExperiment.test_seeds = 3\n")
    directories = [tmp_path / "a", tmp_path / "b"]
    for code, _, errors in ends_of(start([tiny_gin, other], directories)):
        assert code == 2, errors
        assert "worker 1 differs from worker 0 in configuration" in errors
