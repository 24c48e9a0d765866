"""Trains a teacher and compares it: python -m tf_l2t.train --gin_file=gin/lenet_mnist.gin."""

from __future__ import annotations

import pathlib
import signal
import sys

import gin
from absl import app, flags, logging

from tf_l2t.experiment import Experiment, default_run_directory
from tf_l2t.gin_files import register_gin_files
from tf_l2t.runtime.checkpoints import CorruptCheckpointError
from tf_l2t.runtime.run_directory import RunDirectory, RunDirectoryError

_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "A configuration, such as gin/lenet_mnist.gin; repeatable, the last wins."
)
_GIN_BINDINGS = flags.DEFINE_multi_string(
    "gin_bindings", [], "A binding, such as 'Budget.num_steps = 400'; repeatable."
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Where to write; runs/ and the name of the configuration unless given."
)

_BAD_INPUT = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def main(argv: list[str]) -> int:
    """Runs the experiment that the flags describe and returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.set_verbosity(logging.WARNING)
    try:
        return _main(argv)
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130


def _main(argv: list[str]) -> int:
    if len(argv) > 1:
        return _refuse(f"unexpected arguments {argv[1:]}; see --help.")
    if not _GIN_FILE.value:
        return _refuse("no configuration; give --gin_file=gin/lenet_mnist.gin, for example.")
    register_gin_files()
    try:
        gin.parse_config_files_and_bindings(_GIN_FILE.value, _GIN_BINDINGS.value)
        experiment = Experiment()  # type: ignore[call-arg]
        directory = RunDirectory(
            pathlib.Path(_RUN_DIR.value)
            if _RUN_DIR.value
            else default_run_directory(experiment.name)
        )
        resumed = directory.claim(gin.operative_config_str())
    except _BAD_INPUT as error:
        given = [*_GIN_FILE.value, *_GIN_BINDINGS.value]
        where = f" (in one of {given})" if isinstance(error, SyntaxError) else ""
        return _refuse(f"{error}{where}")
    print(f"{'Going on with' if resumed else 'Writing to'} {directory.path}", flush=True)
    try:
        results = experiment.run(directory)
    except (RunDirectoryError, CorruptCheckpointError) as error:
        return _refuse(str(error))
    if results["status"] == "stopped":
        print(f"\nThe teacher's training ended: {results['teacher']['stopped_because']}")
    else:
        print(f"\n{results['table']}\n")
    print(f"results:     {directory.results}")
    print(f"teacher:     {directory.teacher}")
    print(f"figures:     {directory.figures}")
    print(f"TensorBoard: tensorboard --logdir {directory.path}")
    return 1 if results["status"] == "stopped" else 0


def _refuse(message: str) -> int:
    print(f"tf_l2t.train: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    app.run(main)
