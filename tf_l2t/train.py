"""Trains a teacher and compares it: python -m tf_l2t.train --gin_file=gin/lenet_mnist.gin."""

from __future__ import annotations

from tf_l2t import command_line
from tf_l2t.entry import start
from tf_l2t.experiment import Experiment


def _prepare(experiment: Experiment, teacher: str | None) -> command_line.Run:
    if teacher is not None:
        raise ValueError(
            f"--teacher={teacher} is for tf_l2t.teach and tf_l2t.compare; train makes its own."
        )
    return experiment.prepare_training()


def main(argv: list[str]) -> int:
    """Runs the experiment that the flags describe and returns the exit code."""
    return command_line.main("train", _prepare, argv)


if __name__ == "__main__":
    start(main)
