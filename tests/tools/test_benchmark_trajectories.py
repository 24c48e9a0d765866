"""What tools/benchmark_trajectories.py computes is what a trajectory then holds."""

import importlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

benchmark_trajectories = importlib.import_module("benchmark_trajectories")

SMALL = """
include "gin/resnet8_cifar10.gin"
NAME = "small"
STUDENT = @resnet
resnet.channels = 1
Budget.observe_every = 2
NUM_STEPS = 7
"""


@pytest.fixture(autouse=True)
def _no_configuration():
    yield
    benchmark_trajectories.gin.clear_config()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_tables(tmp_path, capsys):
    file = tmp_path / "small.gin"
    file.write_text(SMALL)
    options = ["--measure", str(file), "--steps", "3", "--batch", "2", "--memory", "1"]
    assert benchmark_trajectories.main([str(file), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    name, weights, segment, step, steps, *_, longest, _, any_steps = cells(lines[2])
    assert (name, segment, step, steps, any_steps) == ("small", "2", "0.00 MB", "7", "any")
    bytes_a_step = 4 * int(weights.replace(",", ""))
    measured = [cells(line) for line in lines[6:]]
    assert [row[1] for row in measured] == ["memory", "host", "disk", "recompute"]
    assert all(held == planned for *_, held, planned in measured)
    held = int(measured[0][3].replace(",", ""))
    # Weights and moving statistics, which are fewer.
    assert 3 * bytes_a_step < held < 6 * bytes_a_step
    assert int(longest.replace(",", "")) == 2**30 // (held // 3) - 2


def test_a_file_that_is_not_there(capsys):
    assert benchmark_trajectories.main(["gin/nowhere.gin"]) == 2
    assert "nowhere.gin" in capsys.readouterr().err
