"""What the command lines share: flags, configuration, run directory and exit codes."""

from __future__ import annotations

import pathlib
import sys
import tempfile
import tokenize
from collections.abc import Callable
from typing import Any

import gin
import tensorflow as tf
from absl import flags, logging

from tf_l2t.experiment import Experiment
from tf_l2t.gin_files import register_gin_files
from tf_l2t.runtime.checkpoints import CorruptCheckpointError
from tf_l2t.runtime.cluster import DisagreementError, SetupError
from tf_l2t.runtime.run_directory import RunDirectory, RunDirectoryError
from tf_l2t.runtime.strategy import Distribution
from tf_l2t.runtime.warm_start_files import WarmStartFiles
from tf_l2t.training.interruption import handle_signals

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
_RESUME = flags.DEFINE_enum(
    "resume",
    "auto",
    ["never", "auto", "must"],
    "auto goes on with a run of the same configuration; never refuses one; must refuses where "
    "there is none.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Remove the run that --run_dir holds, and start anew."
)
_WARM_STARTS = flags.DEFINE_string(
    "warm_starts",
    None,
    "A directory that keeps students as they are after their warm start (Budget.warm_start_steps): "
    "for this command when it goes on, and for others whose students begin alike.",
)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "The same numbers each time on a GPU too, where this costs time."
)

BAD_INPUT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tf.errors.OpError,
    tokenize.TokenError,
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
    handle_signals()
    logging.set_verbosity(logging.WARNING)
    try:
        return _main(program, prepare, argv, suffix)
    except BadInputError as error:
        print(f"tf_l2t.{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted. {_goes_on()}", file=sys.stderr)
        return 130


def _warm_starts(distribution: Distribution) -> WarmStartFiles | None:
    if not _WARM_STARTS.value:
        return None
    if distribution.replicas.workers.count > 1:
        raise ValueError(
            "--warm_starts is for commands of one process, got strategy='multi_worker', whose "
            "processes would wait for each other; leave it out."
        )
    return WarmStartFiles(_WARM_STARTS.value)


def _goes_on() -> str:
    without = " without --overwrite" if _OVERWRITE.value else ""
    return f"The same command{without} goes on from here."


def _main(
    program: str,
    prepare: Callable[[Experiment, str | None], Run],
    argv: list[str],
    suffix: str,
) -> int:
    if len(argv) > 1:
        raise BadInputError(f"unexpected arguments {argv[1:]}; see --help.")
    if not _GIN_FILE.value:
        raise BadInputError("no configuration; give --gin_file=gin/lenet_mnist.gin, for example.")
    if _OVERWRITE.value and _RESUME.value == "must":
        raise BadInputError("--overwrite removes what --resume=must asks for; give one of them.")
    register_gin_files()
    try:
        gin.parse_config_files_and_bindings(_GIN_FILE.value, _GIN_BINDINGS.value)
        if _DETERMINISTIC.value:
            tf.config.experimental.enable_op_determinism()
        # First of all: TensorFlow must know of a cluster before it computes anything.
        distribution = Distribution()
        experiment = Experiment(  # type: ignore[call-arg]
            distribution=distribution, warm_starts=_warm_starts(distribution)
        )
        run = prepare(experiment, _TEACHER.value)
        path = pathlib.Path(_RUN_DIR.value or pathlib.Path("runs", experiment.name + suffix))
        worker = experiment.replicas.workers.index
        if worker > 0:
            # The chief alone writes results; what the others write is forgotten.
            scratch = tempfile.TemporaryDirectory(prefix=f"tf_l2t_worker_{worker}_")
            path = pathlib.Path(scratch.name) / "run"
        directory = RunDirectory(path)
        config = gin.operative_config_str()
        _check_macros(config)
        unread = _unread_bindings(config)
        if _DETERMINISTIC.value:
            # A macro that nothing reads: a run is not gone on with without the flag.
            config += "\nDETERMINISTIC = True\n"
        resume = _RESUME.value if worker == 0 else "auto"
        resumed = directory.claim(config, resume, _OVERWRITE.value)
    except BAD_INPUT as error:
        raise BadInputError(_sentence(error)) from error
    for binding in unread if worker == 0 else ():
        print(
            f"tf_l2t.{program}: --gin_bindings={binding!r} changes nothing: no part of this "
            "configuration reads it, or one in a scope goes before it.",
            file=sys.stderr,
        )
    if worker == 0:
        print(f"{'Going on with' if resumed else 'Writing to'} {directory.path}", flush=True)
    try:
        results = run(experiment, directory)
    except (RunDirectoryError, CorruptCheckpointError, SetupError) as error:
        raise BadInputError(str(error)) from error
    except DisagreementError as error:
        print(f"\ntf_l2t.{program}: the run ended: {error}", file=sys.stderr)
        return 1
    except _WORKER_LOST as error:
        if experiment.replicas.workers.count == 1:
            raise
        print(
            f"tf_l2t.{program}: worker {worker} cannot reach another worker any more "
            f"({str(error).strip().splitlines()[-1]}). Start all workers again. {_goes_on()}",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(
            f"\ntf_l2t.{program}: the run ended: {error}. What was saved before is whole. "
            f"Make room there, or mend it. {_goes_on()}",
            file=sys.stderr,
        )
        return 1
    finally:
        directory.release()
    if worker > 0:
        return 1 if results["status"] == "stopped" else 0
    if results["status"] == "stopped":
        print(f"\nThe teacher's training ended: {results['teacher']['stopped_because']}")
    else:
        print(f"\n{results['table']}\n")
    for name, place in directory.written().items():
        print(f"{name + ':':<12} {place}")
    return 1 if results["status"] == "stopped" else 0


def _check_macros(config: str) -> None:
    """Raises ValueError for a macro that the command line binds and nothing reads."""
    read = [each.selector for each in _bindings(config) if not each.arg_name]
    for binding in _GIN_BINDINGS.value:
        for macro in _bindings(binding):
            if not macro.arg_name and macro.selector not in read:
                raise ValueError(
                    f"--gin_bindings={binding!r} sets the macro {macro.selector}, which nothing "
                    f"reads; the configuration reads {', '.join(read)}. Bind Class.argument to set "
                    "an argument."
                )


def _unread_bindings(config: str) -> list[str]:
    """Returns the bindings of arguments on the command line that are not in the configuration."""
    effective = _bindings(config)

    def is_read(given: gin.config_parser.BindingStatement) -> bool:
        return any(
            each.arg_name == given.arg_name
            and f".{each.selector}".endswith(f".{given.selector.rpartition('.')[2]}")
            and f"{each.scope}/".startswith(f"{given.scope}/" if given.scope else "")
            and repr(each.value) == repr(given.value)
            for each in effective
        )

    return [
        binding
        for binding in _GIN_BINDINGS.value
        if not all(is_read(each) for each in _bindings(binding) if each.arg_name)
    ]


def _bindings(text: str) -> list[gin.config_parser.BindingStatement]:
    """Returns what lines of gin bind; a macro has the `arg_name` "" and is the `selector`."""
    statements = gin.config_parser.ConfigParser(text, gin.config.ParserDelegate())
    kind = gin.config_parser.BindingStatement
    return [statement for statement in statements if isinstance(statement, kind)]


def _sentence(error: BaseException) -> str:
    """Returns what is wrong with the configuration, and which one it is."""
    given = [*_GIN_FILE.value, *_GIN_BINDINGS.value]
    text = str(error) or type(error).__name__
    if isinstance(error, RecursionError):
        return f"{given}: files include each other without an end, or nest too deeply ({text})"
    if isinstance(error, UnicodeDecodeError):
        return f"a file of {given} is not text in UTF-8 ({text})"
    if isinstance(error, OSError | ValueError | RuntimeError) and text != type(error).__name__:
        return text
    return f"{text} ({type(error).__name__}, in one of {given})"
