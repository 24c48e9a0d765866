"""What the real TensorBoard makes of a run directory, over its HTTP API."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tf_l2t.runtime.summaries import Summaries
from tf_l2t.runtime.taught_student import TaughtStudent
from tf_l2t.runtime.watch import Watch

SECONDS = 90


def write_run(directory: pathlib.Path) -> None:
    summaries = Summaries(directory / "tensorboard", "abc", Watch(class_pairs=((0, 2),)))
    phi = (0.2 * np.eye(3) + 0.006).astype("float32")
    told = [{"phi": phi, "attention": np.float32([0.5, 0.5])}] * 2
    vectors = [np.zeros(2, "float32")] * 2
    summaries.student(TaughtStudent.collect([0, 10], vectors, told), ["t / T", "dev accuracy"])
    for step in range(2):
        summaries.scalars("teacher", step, {"dev/measure": 0.5})
    summaries.close()
    # As a kill leaves it.
    path = next((directory / "tensorboard" / "teacher").iterdir())
    path.write_bytes(path.read_bytes()[:-3])


@pytest.fixture
def ask(tmp_path: pathlib.Path) -> Iterator[Callable[[str], dict]]:
    """Asks a TensorBoard of the run directory that `write_run` makes."""
    write_run(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/data/plugin"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"]
    log = (tmp_path / "log").open("w")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=log, stderr=log, env=quiet)

    def get(query: str) -> dict:
        with urllib.request.urlopen(f"{address}/{query}", timeout=10) as answer:
            return json.loads(answer.read())

    try:
        deadline = time.monotonic() + SECONDS
        seen: dict | None = None
        while seen is None or len(seen) < 2:
            try:
                seen = get("scalars/tags")
            except OSError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (tmp_path / "log").read_text()[-500:]
                    pytest.skip(f"TensorBoard did not start in {SECONDS} s ({error}): {said}")
            assert time.monotonic() < deadline, f"TensorBoard found nothing but {seen}"
            time.sleep(0.5)
        yield get
        assert not re.search(r"Traceback|^E\d{4}|ERROR", (tmp_path / "log").read_text(), re.M)
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def test_the_real_tensorboard_shows_a_run(ask) -> None:
    scalars = ask("scalars/tags")
    expected = {"student_phi_pairs/true a, class c", "state/dev accuracy", "student_attention/00"}
    assert expected <= scalars["tensorboard/student"].keys()
    points = ask("scalars/scalars?run=tensorboard/student&tag=student_phi/diagonal_mean")
    assert [(step, round(value, 3)) for _, step, value in points] == [(0, 0.206), (10, 0.206)]
    measures = ask("scalars/scalars?run=tensorboard/teacher&tag=dev/measure")
    assert [step for _, step, _ in measures] == [0]
    images = ask("images/tags")
    assert images["tensorboard/student"]["student_phi/heat_map"]["samples"] == 1
    shown = ask("images/images?run=tensorboard/student&tag=student_phi/heat_map&sample=0")
    assert [image["step"] for image in shown] == [0, 10]
    histograms = ask("histograms/tags")["tensorboard/student"]
    assert "student_attention/histogram" in histograms
    assert "student_phi/histogram_of_off_diagonal" in histograms
