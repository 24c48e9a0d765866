"""Teaches new students: python -m tf_l2t.teach --teacher=DIR --gin_file=gin/mlp_mnist.gin."""

from __future__ import annotations

from tf_l2t import command_line
from tf_l2t.entry import start
from tf_l2t.experiment import Experiment
from tf_l2t.runtime.loaded_teacher import load_teacher


def _prepare(experiment: Experiment, teacher: str | None) -> command_line.Run:
    if teacher is None:
        raise ValueError("no teacher; give --teacher=runs/NAME/teacher, for example.")
    return experiment.prepare_lessons(load_teacher(teacher))


def main(argv: list[str]) -> int:
    """Teaches the students that the flags describe and returns the exit code."""
    return command_line.main("teach", _prepare, argv, suffix="_teach")


if __name__ == "__main__":
    start(main)
