#!/usr/bin/env python3
"""Measures what a second worker gains: one process on one core against two on two cores.

    tools/benchmark_spread.py --student lenet --steps 100 --batch 64

Three sets of processes, each process pinned to a core of its own, take turns: one worker; two
workers with a student each (replicas "students", twice the students of the first a teacher step);
two workers that share one student (replicas "batch", the same work as the first). The speed-ups
are medians over the turns of the quotients within a turn: students per second against the one
worker's. With --json one JSON object to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

ALONE, STUDENTS, BATCH = "one worker", "two workers, students", "two workers, batch"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the options."""
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--student", default="lenet", choices=["lenet", "mlp"], help="(default lenet)")
    add("--steps", type=int, default=100, help="T, training steps of a student (default 100)")
    add("--batch", type=int, default=64, help="examples of a training batch (default 64)")
    add("--dev_examples", type=int, default=1000, help="of the dev gradient (default 1000)")
    add("--repeats", type=int, default=7, help="turns, of one teacher step each (default 7)")
    add("--json", action="store_true", help="JSON to stdout, the table to stderr")
    add("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    for name in ("steps", "batch", "dev_examples", "repeats"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    return args


def work(args: argparse.Namespace) -> None:
    """Takes a teacher step for every line of stdin and prints its seconds: a worker's life."""
    import keras
    import measuring

    from tf_l2t import students
    from tf_l2t.data import embedded_mnist
    from tf_l2t.differentiation import SGD
    from tf_l2t.losses import DynamicBilinear
    from tf_l2t.measures import ExpectedAccuracy
    from tf_l2t.runtime.strategy import Distribution
    from tf_l2t.tasks import Classification
    from tf_l2t.teachers import attention_teacher
    from tf_l2t.training.rollout import Budget, Teaching
    from tf_l2t.training.teacher_trainer import TeacherSchedule, TeacherTrainer
    from tf_l2t.training.trust_region import TrustRegion

    strategy = "none" if args.worker == ALONE else "multi_worker"
    replicas = Distribution(strategy, "batch" if args.worker == BATCH else "students").replicas
    task = Classification(
        embedded_mnist(),
        getattr(students, args.student),
        ExpectedAccuracy(),
        batch_size=args.batch,
        dev_size=args.dev_examples,
    )
    loss = DynamicBilinear()
    teacher = attention_teacher(task.coefficient_shapes(loss), len(task.feature_names))
    rule = SGD(0.5, momentum=0.9)
    teaching = Teaching(task, loss, rule, Budget(args.steps), teacher, replicas=replicas)
    per_step = 2 if args.worker == STUDENTS else 1
    schedule = TeacherSchedule(args.repeats + 1, per_step, select_every=args.repeats + 2)
    trainer = TeacherTrainer(teaching, keras.optimizers.SGD(1e-4), schedule, TrustRegion())
    trainer.step()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(measuring.seconds(trainer.step), flush=True)


class Workers:
    """The processes of one way of working.

    Args:
        way: what they do.
        cores: one for each of them.
        argv: the options.
    """

    def __init__(self, way: str, cores: Sequence[int], argv: Sequence[str]) -> None:
        sockets = [socket.socket() for _ in cores]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        for each in sockets:
            each.close()
        self._processes = []
        for index, core in enumerate(cores):
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": addresses}, "task": task}
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, __file__, *argv, "--worker", way],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                    preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
                )
            )
        if any(line.strip() != "ready" for line in self._lines()):
            raise SystemExit(f"benchmark_spread.py: {way} did not start; look above.")

    def step(self) -> float:
        """Has all take a teacher step and returns the seconds of the slowest."""
        for process in self._processes:
            process.stdin.write("step\n")
            process.stdin.flush()
        return max(map(float, self._lines()))

    def stop(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def _lines(self) -> list[str]:
        return [process.stdout.readline() for process in self._processes]


def main(argv: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    args = arguments(argv)
    if args.worker:
        work(args)
        return 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("benchmark_spread.py: needs two cores, has one.", file=sys.stderr)
        return 2
    import measuring
    from benchmark_report import cell, print_result

    from tf_l2t.markdown import markdown_table
    from tf_l2t.runtime.run_directory import versions

    ways: dict[str, Workers] = {}
    try:
        for way, count in ((ALONE, 1), (STUDENTS, 2), (BATCH, 2)):
            measuring.say(f"{way}: tracing the teacher step")
            ways[way] = Workers(way, cores[:count], argv)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(args.repeats):
            measuring.say(f"turn {turn + 1} of {args.repeats}")
            for way, workers in ways.items():
                seconds[way].append(workers.step())
    finally:
        for workers in ways.values():
            workers.stop()
    twice = [2 * value for value in seconds[ALONE]]
    result: dict[str, Any] = {
        "settings": {k: v for k, v in vars(args).items() if k not in ("json", "worker")},
        "machine": measuring.machine(),
        "versions": versions(),
        "seconds": {way: measuring.spread(values) for way, values in seconds.items()},
        "speed_up": {
            STUDENTS: measuring.ratios(twice, seconds[STUDENTS]),
            BATCH: measuring.ratios(seconds[ALONE], seconds[BATCH]),
        },
    }
    rows = [
        [
            way,
            cell(result["seconds"][way], 3),
            cell(result["speed_up"][way], 2) if way in result["speed_up"] else "1",
        ]
        for way in ways
    ]
    header = ["work", "seconds a teacher step", "speed-up in students a second"]
    table = markdown_table([header, *rows])
    print_result(result, table, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
