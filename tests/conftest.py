"""Shared by all tests: configurations that run in seconds."""

import functools
import pathlib
import signal
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import gin
import keras
import pytest
import tensorflow as tf
from absl import flags

from tf_l2t import command_line, train

# On a GPU products of float32 would have 10 bits, and the tolerances of the tests are for 23.
tf.config.experimental.enable_tensor_float_32_execution(False)

TINY_GIN = """
include "gin/base/classification.gin"
include "gin/base/comparison.gin"

NAME = "tiny"
SOURCE = @embedded_mnist()
STUDENT = @logistic_regression
NUM_STEPS = 12
Classification.measure = @ExpectedAccuracy()

Experiment.rows = [@cross_entropy/Row(), @fixed_coefficients/Row()]
Experiment.test_seeds = 2
Experiment.learning_rates = (0.5, 1.0)
cross_entropy/Row.learning_rates = (0.02, 0.05)
fixed_coefficients/Row.learning_rates = (0.5, 1.0)
Budget.observe_every = 5
Classification.observed_examples = 100
keras.optimizers.Adam.learning_rate = 0.0003
TeacherSchedule.num_steps = 3
TeacherSchedule.select_every = 2
TeacherSchedule.selection_students = 1
"""


@pytest.fixture
def tiny_gin(tmp_path: pathlib.Path) -> pathlib.Path:
    """A configuration file on real MNIST that a run of some seconds finishes."""
    path = tmp_path / "tiny.gin"
    path.write_text(TINY_GIN)
    return path


@pytest.fixture
def float64() -> Iterator[None]:
    """Lets Keras build its layers in float64."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


class Finished(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture) -> Iterator[Callable[..., Finished]]:
    """Runs the main of `python -m tf_l2t.PROGRAM` in this process, which spares the imports."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}

    def run(program: ModuleType, *arguments: object) -> Finished:
        gin.clear_config()
        flags.FLAGS.unparse_flags()
        remaining = flags.FLAGS([program.__name__, *map(str, arguments)])
        capsys.readouterr()
        code = program.main(remaining)
        for flag in flags.FLAGS.flags_by_module_dict()[command_line.__name__]:
            flag.unparse()
        return Finished(code, *capsys.readouterr())

    yield run
    gin.clear_config()
    for name, handler in handlers.items():
        signal.signal(name, handler)


@pytest.fixture
def train_command(command: Callable[..., Finished]) -> Callable[..., Finished]:
    """Runs the main of `python -m tf_l2t.train` in this process."""
    return functools.partial(command, train)
