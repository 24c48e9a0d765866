#!/usr/bin/env python3
"""Measures what it costs to differentiate through a student's training, in time and memory.

    tools/benchmark.py --student lenet --steps 50 --batch 64
    tools/benchmark.py --student lenet --steps 8600 --storage memory,recompute --repeats 1 --json
    tools/benchmark.py --student lenet --lengths 100,1000,8600 --repeats 3
    tools/benchmark.py --student resnet --student_settings depth=20 --data cifar10 --batch 128
    tools/benchmark.py --student lstm_translator --student_settings units=320,embedding=256

A *teacher step* is the rollout of a student under a teacher (attention; the bilinear loss or, for
translation, a weight for every word), the gradient of the dev measure at its end, and the reverse
pass. *Plain training* is the same number of steps on the same batches with cross entropy, nothing
recorded; `keras.Model.fit` does it once more, called in the way that a short trial found fastest.
The update rule of all is SGD with momentum 0.9, or that of --update_rule. The data are the MNIST
digits of the package or those of --data, the sentences of --text or made-up ones. Of sentences
`fit` gets the very batches, padded alike, and padding has no weight. Table to stdout; with --json
one JSON object to stdout, and the table to stderr.

What is timed. All is traced, compiled and run once before. The phases then take turns, each time
with another one first, so that other work on the machine hits all alike: times are medians over
the turns, a ratio is the median of the quotients of each turn. Every turn trains on an order of
batches of its own, which each phase draws anew, so that the cost of it is in. Making a new
student, which `fit` need not do either, is left out and reported apart. State features are
measured once only, unless --observe.

How peak memory is measured, and why in this order. The process that does it has loaded the data
and run one teacher step of one or two segments, as long as the shapes of the long one ask for;
so graphs, kernels and thread pools are in the baseline. It then gives free memory back to the
system (the baseline is what is left), resets the system's record of the peak, and runs the first
whole teacher step. Only after that do plain training and `fit` run for the first time: what they
leave behind in caches, free lists and float32 copies of the data would raise the baseline and,
since free memory of the process is used again, hide a part of the trajectory. For the same
reason every one of several storage policies is measured in a new process.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import math
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import benchmark_options
import measuring
import tensorflow as tf
from benchmark_options import UPDATE_RULES
from benchmark_report import PHASES, RATIOS, print_result, set_against_first, table
from benchmark_tasks import BenchmarkTask, make_task
from keras_fit import KerasFit

from tf_l2t.data import DatasetUnavailableError
from tf_l2t.differentiation.hypergradient import RolloutResult
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.runtime.run_directory import versions
from tf_l2t.training.rollout import Budget, Teaching


class TeacherStep:
    """Rollout, dev gradient and reverse pass of one length.

    Args:
        task: the problem.
        args: the options.
        num_steps: T.
    """

    def __init__(self, task: BenchmarkTask, args: argparse.Namespace, num_steps: int) -> None:
        rate = UPDATE_RULES[args.update_rule].taught_rate
        teacher = task.teacher(args.seed)
        self._teaching = make_teaching(task, task.taught_loss, rate, args, num_steps, teacher)
        self._outer = OuterGradient(task.dev_loss, task.num_dev_chunks)
        self._theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
        self._truncate = args.truncate
        self.nbytes = 0
        self.norm = math.nan

    def warm_up(self) -> None:
        """Runs every graph on every shape of the long run, over as few steps as that takes."""
        rollout = roll_out_briefly(self._teaching, self._theta, self._truncate, record=True)
        _, adjoint = self._outer(rollout.state)
        measuring.wait(self._teaching.engine.reverse(rollout, self._theta, adjoint).gradients)

    def __call__(self, seed: int = 0) -> dict[str, float]:
        """Runs it and returns the seconds of its parts and of the whole."""
        times, held = {}, []

        def roll_out() -> None:
            held.append(self._teaching.roll_out(self._theta, seed, record=True).rollout)
            measuring.wait(held[0].state.weights)

        def differentiate() -> None:
            held.append(self._outer(held[0].state)[1])
            measuring.wait(held[1])

        def reverse() -> None:
            result = self._teaching.engine.reverse(held[0], self._theta, held[1])
            self.norm = float(tf.linalg.global_norm(result.gradients))

        times["rollout"] = measuring.seconds(roll_out)
        times["dev_gradient"] = measuring.seconds(differentiate)
        times["reverse"] = measuring.seconds(reverse)
        times["teacher_step"] = sum(times.values())
        self.nbytes = held[0].trajectory.nbytes
        return times


def make_teaching(
    task: BenchmarkTask,
    loss: Any,
    rate: float,
    args: argparse.Namespace,
    num_steps: int,
    teacher: Any = None,
) -> Teaching:
    """Returns how a student is trained with a loss; a segment is --segment_length steps."""
    length = {"observe_every": args.segment_length} if args.segment_length else {}
    return Teaching(
        task,
        loss,
        UPDATE_RULES[args.update_rule].rule(rate),
        Budget(num_steps, **length),
        teacher,
        storage=args.storage[0],
        truncate=args.truncate,
        jit_compile=args.jit_compile,
    )


def roll_out_briefly(
    teaching: Teaching, theta: list[tf.Tensor], truncate: int | None, record: bool
) -> RolloutResult:
    """Trains for the fewest steps whose segments have all the lengths that those of T steps have.

    Every other length is another shape, which TensorFlow traces anew.
    """
    num_steps, length = teaching.budget.num_steps, teaching.budget.observe_every
    recorded = min(num_steps, truncate or num_steps)
    few = lambda steps: min(steps, length + steps % length)
    seed = 0
    return teaching.engine.roll_out(
        teaching.engine.step.initial_state(*teaching.task.initial(seed)),
        theta,
        few(num_steps) if recorded == num_steps else recorded + few(num_steps - recorded),
        context_fn=lambda segment, state: teaching._contexts(segment, state, [seed]),
        record=record,
    )


def measure(task: BenchmarkTask, first: TeacherStep, args: argparse.Namespace) -> dict[str, Any]:
    """Measures one storage policy in this process and returns its part of the JSON object.

    Args:
        task: the problem.
        first: a teacher step that has been warmed up but not run.
        args: the options.
    """
    measuring.say(f"peak memory of a teacher step of {args.steps} steps")
    memory = measuring.peak_memory(first)
    measuring.say("tracing plain training, choosing how to call keras.Model.fit")
    optimization = UPDATE_RULES[args.update_rule]
    plainly = make_teaching(task, task.likelihood, optimization.plain_rate, args, args.steps)
    plain = lambda seed: measuring.wait(plainly.roll_out([], seed).rollout.state.weights)
    roll_out_briefly(plainly, [], args.truncate, record=False)
    model = task.student.model_with(*task.initial(args.seed))
    optimizer = functools.partial(optimization.keras_optimizer, optimization.plain_rate)
    fit = KerasFit(model, task.fit_data(), optimizer, args.steps)
    turn: list[Callable[[int], dict[str, float]]] = [
        lambda seed: {"plain_training": measuring.seconds(lambda: plain(seed))},
        lambda seed: {"keras_fit": measuring.seconds(lambda: fit(seed))},
        first,
    ]
    times: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for repeat in range(args.repeats):
        measuring.say(f"repeat {repeat + 1} of {args.repeats}")
        gc.collect()
        for phases in turn:
            task.forget_batches()
            for phase, took in phases(args.seed + 1 + repeat).items():
                times[phase].append(took)
        turn.append(turn.pop(0))
    whole = args.steps * task.student.num_weights * 4
    beyond = memory["beyond_baseline_bytes"]
    return {
        "storage": args.storage[0],
        "data": task.data(),
        "weights": task.student.num_weights,
        "seconds": {phase: measuring.spread(took) for phase, took in times.items()},
        "ratios": {
            name: measuring.ratios(times[above], times[below])
            for name, (above, below) in RATIOS.items()
        },
        "bytes_stored": first.nbytes,
        "memory": {
            **memory,
            "whole_trajectory_bytes": whole,
            "ratio": None if beyond is None else beyond / whole,
        },
        "keras_fit": {"variant": str(fit.variant), "seconds_per_step_of_trials": fit.trials},
        "hypergradient_norm": first.norm if math.isfinite(first.norm) else None,
        "lengths": measure_lengths(task, args),
        "new_student": measure_new_student(task, first, args),
    }


def measure_lengths(task: BenchmarkTask, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures teacher steps of several lengths in turn; their seconds should be linear in T."""
    steps = {length: TeacherStep(task, args, length) for length in args.lengths}
    times: dict[int, list[float]] = {length: [] for length in args.lengths}
    for step in steps.values():
        step.warm_up()
    for repeat in range(args.repeats if steps else 0):
        measuring.say(f"lengths, repeat {repeat + 1} of {args.repeats}")
        for length, step in steps.items():
            task.forget_batches()
            times[length].append(step(args.seed + 1 + repeat)["teacher_step"])
    spreads = {length: measuring.spread(took) for length, took in times.items()}
    return [
        {"steps": length, "seconds": spread, "seconds_per_step": spread["median"] / length}
        for length, spread in spreads.items()
    ]


def measure_new_student(
    task: BenchmarkTask, step: TeacherStep, args: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Measures what a new student costs, and what it adds to the short teacher step after it.

    The latter is large where building a student makes TensorFlow forget its compiled functions,
    as `tf.random.set_seed` does; for that reason this comes last.
    """
    building, added = [], []
    for seed in range(args.repeats):
        alone = measuring.seconds(step.warm_up)
        building.append(measuring.seconds(lambda s=seed: task.student.initial(s)))
        added.append(measuring.seconds(step.warm_up) - alone)
    return {
        "seconds": measuring.spread(building),
        "added_to_next_teacher_step": measuring.spread(added),
    }


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the options; exits with code 2 and says why where they make no sense."""
    return benchmark_options.arguments(argv, __doc__)


def in_new_process(args: argparse.Namespace, storage: str) -> dict[str, Any]:
    """Measures one storage policy in a process of its own."""
    command = [sys.executable, __file__, "--json", "--storage", storage]
    for name, value in vars(args).items():
        if name in ("json", "storage") or value in (None, False, []):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        command += [f"--{name}"] if value is True else [f"--{name}", text]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)["runs"][0]


def main(argv: Sequence[str]) -> int:
    """Measures and prints what the options ask for; returns the exit code."""
    args = arguments(argv)
    if len(args.storage) > 1:
        runs = [in_new_process(args, storage) for storage in args.storage]
    else:
        measuring.say(f"storage {args.storage[0]}: tracing the teacher step")
        try:
            task = make_task(args)
            teacher_step = TeacherStep(task, args, args.steps)
            teacher_step.warm_up()
        except (ValueError, TypeError, DatasetUnavailableError) as error:
            print(f"benchmark.py: {error}", file=sys.stderr)
            return 2
        runs = [measure(task, teacher_step, args)]
    set_against_first(runs)
    result = {
        "settings": {name: value for name, value in vars(args).items() if name != "json"},
        "data": args.data,
        "machine": measuring.machine(),
        "versions": versions(),
        "runs": runs,
    }
    print_result(result, table(result), args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
