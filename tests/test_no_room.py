"""A full disk, or one that cannot be written, ends a run with the reason and loses nothing."""

import errno
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from tf_l2t.runtime import files

SHORT = ["--gin_bindings=Experiment.rows = []", "--gin_bindings=Experiment.test_seeds = 1"]


def teacher_steps(directory: pathlib.Path) -> list:
    return json.loads((directory / "results.json").read_text())["teacher"]["steps"]


@pytest.mark.parametrize("name", ["teacher-00000002.npz", "comparison.md", "phi.png"])
def test_a_full_disk_ends_the_run_and_more_room_lets_it_go_on(
    name, tiny_gin, tmp_path, train_command, monkeypatch
) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}", *SHORT]
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if f".{name}." in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    done = train_command(*arguments)
    assert done.returncode == 1, done.stderr
    assert "the run ended: [Errno 28] No space left on device" in done.stderr
    assert f"{name}'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(directory.rglob("*.tmp"))
    monkeypatch.undo()
    done = train_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Going on with" in done.stdout
    assert len(teacher_steps(directory)) == 3


@pytest.fixture
def small_disk(tmp_path: pathlib.Path):
    """Mounts a file system of 180 kB, where that is allowed."""
    directory = tmp_path / "small_disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=180k", "tmpfs", directory]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


def test_a_disk_that_is_really_full(small_disk, tiny_gin, train_command) -> None:
    directory = small_disk / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}", *SHORT]
    done = train_command(*arguments)
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    for path in (directory / "checkpoints").glob("*.npz"):
        with np.load(path) as archive:
            assert all(archive[name] is not None for name in archive.files)
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    done = train_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert len(teacher_steps(directory)) == 3
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = train_command(*arguments)
    assert done.returncode == 2
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
