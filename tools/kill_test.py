#!/usr/bin/env python3
"""Kills runs of tf_l2t.train with kill -9, starts them again, and compares what they end with.

    tools/kill_test.py --kills 100 --gin_file gin/mlp_mnist.gin --gin_bindings 'NUM_STEPS = 12'

One run is never killed. The others are, at moments drawn uniformly from its duration, until the
number of kills is reached; whenever one comes to its end, it has to hold the very same as the
first: everything but the times that `tools/run_contents.py` leaves out. With --every_write a run is
killed instead at each of its writes: with half a file written, before a rename, after it.

The processes are forked from one that has imported everything, so that most kills hit the work
instead of the imports. Prints what happened, and returns 0 if all runs were the same, else 1.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from absl import flags
from run_contents import digests
from write_boundaries import die_at_the_next

from tf_l2t import train

PHASES = ("search of learning rates", "training of the teacher", "comparison")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gin_file", action="append", required=True, help="a configuration")
    parser.add_argument("--gin_bindings", action="append", default=[], help="a binding")
    parser.add_argument("--kills", type=int, default=100, help="how many; default 100")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default 0")
    parser.add_argument("--every_write", action="store_true", help="kill at every write instead")
    options = parser.parse_args()
    command = [f"--gin_file={name}" for name in options.gin_file]
    command += [f"--gin_bindings={binding}" for binding in options.gin_bindings]
    with tempfile.TemporaryDirectory(prefix="tf_l2t_kill_test_") as name:
        killer = KillTest(pathlib.Path(name), command)
        if options.every_write:
            killer.kill_at_every_write()
        else:
            killer.kill_at_random(options.kills, options.seed)
        return killer.report()


class KillTest:
    """A run that is never killed, and runs that are.

    Args:
        directory: for their run directories.
        command: the flags of a run.
    """

    def __init__(self, directory: pathlib.Path, command: list[str]) -> None:
        self._directory = directory
        self._command = command
        self._log = directory / "log"
        self._kills: collections.Counter[str] = collections.Counter()
        self._runs = 0
        self._differing: list[str] = []
        start = time.monotonic()
        self._wait(self._start(directory / "whole"))
        self._seconds = time.monotonic() - start
        self._whole = self._contents(directory / "whole")
        print(f"a whole run takes {self._seconds:.1f} s", flush=True)

    def kill_at_random(self, kills: int, seed: int) -> None:
        """Kills at moments that are drawn uniformly from what a run still has before it."""
        draw = random.Random(seed)
        left = self._seconds
        while self._kills.total() < kills:
            run = self._directory / f"killed-{self._runs}"
            process = self._start(run)
            start = time.monotonic()
            moment = start + draw.uniform(0, left)
            while time.monotonic() < moment and not _ended(process):
                time.sleep(0.001)
            if not _ended(process):
                os.kill(process, signal.SIGKILL)
            ended = self._after(process, run)
            lived = time.monotonic() - start
            left = self._seconds if ended else max(left - lived, self._seconds / 4)
        if (run := self._directory / f"killed-{self._runs}").exists():
            self._after(self._start(run), run)

    def kill_at_every_write(self) -> None:
        """Kills one run at each of its writes, as often as it has a new one."""
        run, seen = self._directory / "killed-0", self._directory / "boundaries"
        seen.touch()
        while not self._runs:
            self._after(self._start(run, lambda: die_at_the_next(seen)), run)
        print("\n".join(seen.read_text().splitlines()))

    def report(self) -> int:
        """Prints what was found and returns the exit code."""
        counts = ", ".join(f"{count} in the {phase}" for phase, count in self._kills.items())
        print(f"{self._kills.total()} kills: {counts}")
        print(
            f"{self._runs} runs of these came to their end; not the same as the whole run: ", end=""
        )
        print("; ".join(self._differing) if self._differing else "none")
        return 1 if self._differing or not self._runs else 0

    def _start(self, run: pathlib.Path, prepare: Callable[[], None] = lambda: None) -> int:
        def work() -> int:
            prepare()
            return train.main(flags.FLAGS(["train", *self._command, f"--run_dir={run}"]))

        return _fork(work, self._log)

    def _after(self, process: int, run: pathlib.Path) -> bool:
        """Notes how a process ended, and returns whether its run is done."""
        if self._wait(process):
            self._runs += 1
            theirs = self._contents(run)
            for name in sorted({*theirs, *self._whole}):
                if theirs.get(name) != self._whole.get(name):
                    self._differing.append(f"{run.name}: {name}")
            print(f"{run.name}: done after {self._kills.total()} kills", flush=True)
            return True
        said = self._log.read_text(errors="replace")
        self._kills[max(PHASES, key=said.rfind) if PHASES[0] in said else "start"] += 1
        return False

    def _wait(self, process: int) -> bool:
        """Returns whether a process came to its end, False if it was killed."""
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status not in (0, -signal.SIGKILL):
            raise SystemExit(f"exit code {status}:\n{self._log.read_text(errors='replace')}")
        return status == 0

    def _contents(self, run: pathlib.Path) -> dict[str, str]:
        # In a process of its own, for TensorFlow must not have run in what is forked.
        found = self._directory / "contents"

        def work() -> int:
            found.write_text("\n".join(f"{v} {k}" for k, v in digests(run).items()))
            return 0

        self._wait(_fork(work, self._log))
        lines = [line.split(" ", 1) for line in found.read_text().splitlines()]
        return {name: digest for digest, name in lines}


def _fork(work: Callable[[], int], log: pathlib.Path) -> int:
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = work()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


if __name__ == "__main__":
    sys.exit(main())
