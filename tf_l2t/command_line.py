"""What the command lines share: flags, configuration, run directory and exit codes."""

from __future__ import annotations

import pathlib
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import gin
import tensorflow as tf
from absl import flags, logging

from tf_l2t.experiment import Experiment, default_run_directory
from tf_l2t.gin_files import register_gin_files
from tf_l2t.runtime.checkpoints import CorruptCheckpointError
from tf_l2t.runtime.run_directory import RunDirectory, RunDirectoryError
from tf_l2t.runtime.strategy import Distribution

_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "A configuration, such as gin/lenet_mnist.gin; repeatable, the last wins."
)
_GIN_BINDINGS = flags.DEFINE_multi_string(
    "gin_bindings", [], "A binding, such as 'Budget.num_steps = 400'; repeatable."
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Where to write; under runs/, named by the configuration, unless given."
)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "A teacher, such as runs/NAME/teacher; for teach and compare."
)

BAD_INPUT = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

_WORKER_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)

Run = Callable[[Experiment, RunDirectory], dict[str, Any]]


class BadInputError(ValueError):
    """What the command was given cannot work."""


def main(
    program: str,
    prepare: Callable[[Experiment, str | None], Run],
    argv: list[str],
    *,
    suffix: str = "",
) -> int:
    """Runs a command on the experiment that the flags describe and returns the exit code.

    Args:
        program: name of the command.
        prepare: (experiment, --teacher) -> what runs it in a directory, or ValueError.
        argv: what the flags left over.
        suffix: of the default run directory.

    Returns:
        0 if all was done; 1 if it ended before, with the reason; 2 for bad input, before any work
        or change; 130 after an interruption.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.set_verbosity(logging.WARNING)
    try:
        return _main(prepare, argv, suffix)
    except BadInputError as error:
        print(f"tf_l2t.{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return 130


def _main(prepare: Callable[[Experiment, str | None], Run], argv: list[str], suffix: str) -> int:
    if len(argv) > 1:
        raise BadInputError(f"unexpected arguments {argv[1:]}; see --help.")
    if not _GIN_FILE.value:
        raise BadInputError("no configuration; give --gin_file=gin/lenet_mnist.gin, for example.")
    register_gin_files()
    try:
        gin.parse_config_files_and_bindings(_GIN_FILE.value, _GIN_BINDINGS.value)
        # First of all: TensorFlow must know of a cluster before it computes anything.
        distribution = Distribution()
        experiment = Experiment(distribution=distribution)  # type: ignore[call-arg]
        run = prepare(experiment, _TEACHER.value)
        path = pathlib.Path(_RUN_DIR.value or default_run_directory(experiment.name + suffix))
        worker = experiment.replicas.workers.index
        if worker > 0:
            # The chief alone writes results; what the others write is forgotten.
            scratch = tempfile.TemporaryDirectory(prefix=f"tf_l2t_worker_{worker}_")
            path = pathlib.Path(scratch.name) / "run"
        directory = RunDirectory(path)
        resumed = directory.claim(gin.operative_config_str())
    except BAD_INPUT as error:
        given = [*_GIN_FILE.value, *_GIN_BINDINGS.value]
        where = f" (in one of {given})" if isinstance(error, SyntaxError) else ""
        raise BadInputError(f"{error}{where}") from error
    if worker == 0:
        print(f"{'Going on with' if resumed else 'Writing to'} {directory.path}", flush=True)
    try:
        results = run(experiment, directory)
    except (RunDirectoryError, CorruptCheckpointError) as error:
        raise BadInputError(str(error)) from error
    except _WORKER_LOST as error:
        if experiment.replicas.workers.count == 1:
            raise
        print(
            f"tf_l2t: worker {worker} cannot reach another worker any more "
            f"({str(error).strip().splitlines()[-1]}). Start all workers again with the same "
            "command: the run goes on from the last checkpoint.",
            file=sys.stderr,
        )
        return 1
    if worker > 0:
        return 1 if results["status"] == "stopped" else 0
    if results["status"] == "stopped":
        print(f"\nThe teacher's training ended: {results['teacher']['stopped_because']}")
    else:
        print(f"\n{results['table']}\n")
    for name, path in directory.written().items():
        print(f"{name + ':':<12} {path}")
    return 1 if results["status"] == "stopped" else 0
