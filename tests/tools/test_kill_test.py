"""Runs that are killed, and started again, end with what a run holds that was never killed."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

SMALL_GIN = """
import small_images
include "gin/base/classification.gin"
include "gin/base/comparison.gin"

NAME = "small"
SOURCE = @small_images()
STUDENT = @logistic_regression
NUM_STEPS = 12
Classification.measure = @ExpectedAccuracy()
Classification.dev_size = 100
Classification.observed_examples = 100
Classification.batch_size = 20
Experiment.rows = [@cross_entropy/Row()]
Experiment.test_seeds = 2
Experiment.learning_rates = (0.5, 1.0)
cross_entropy/Row.learning_rates = (0.02, 0.05)
Budget.observe_every = 5
keras.optimizers.Adam.learning_rate = 0.01
TeacherSchedule.num_steps = 3
TeacherSchedule.select_every = 2
TeacherSchedule.selection_students = 1
"""


@pytest.fixture
def kill_test(tmp_path: pathlib.Path):
    """Runs the tool on a configuration of some seconds."""
    config = tmp_path / "small.gin"
    config.write_text(SMALL_GIN)
    path = os.pathsep.join([str(ROOT), str(pathlib.Path(__file__).parent)])

    def run(*options: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/kill_test.py"), f"--gin_file={config}", *options],
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_ten_kills_at_random_moments_change_nothing(kill_test) -> None:
    said = kill_test("--kills=10", "--seed=3")
    assert "10 kills" in said
    assert "not the same as the whole run: none" in said


def test_a_kill_at_every_kind_of_write_changes_nothing(kill_test) -> None:
    fewer = ["TeacherSchedule.num_steps = 1", "Experiment.rows = []", "Experiment.test_seeds = 1"]
    said = kill_test("--every_write", *(f"--gin_bindings={binding}" for binding in fewer))
    assert "not the same as the whole run: none" in said
    for kind in (
        "half of checkpoints/teacher-00000001.npz",
        "before the rename to checkpoints/results.json",
        "after the removal of killed-0/.teacher.new",
        "before the rename to killed-0/config.gin",
        "half of figures/figure",
    ):
        assert kind in said
