"""Compares losses: python -m tf_l2t.compare --gin_file=gin/lenet_mnist.gin --teacher=DIR."""

from __future__ import annotations

from tf_l2t import command_line
from tf_l2t.entry import start
from tf_l2t.experiment import Experiment
from tf_l2t.runtime.loaded_teacher import load_teacher


def _prepare(experiment: Experiment, teacher: str | None) -> command_line.Run:
    loaded = None if teacher is None else load_teacher(teacher)
    return experiment.prepare_comparison(loaded)


def main(argv: list[str]) -> int:
    """Compares the losses that the flags describe and returns the exit code."""
    return command_line.main("compare", _prepare, argv, suffix="_compare")


if __name__ == "__main__":
    start(main)
