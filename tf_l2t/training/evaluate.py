"""Comparison of losses: the same students, budgets and seeds for each."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.losses.base import Loss
from tf_l2t.training.rollout import Lesson, Teaching


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the comparison: a loss, and the learning rates to try for it on dev.

    Attributes:
        name: as the table shows it.
        loss: the loss.
        learning_rates: peak learning rates; the best on dev is used. Every row of a
            configuration should have as many.
        teacher: builds a teacher that sets the coefficients and is not trained, such as
            `fixed_teacher`; None for a fixed loss.
    """

    name: str
    loss: Loss
    learning_rates: Sequence[float]
    teacher: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not self.learning_rates:
            raise ValueError(f"Row {self.name!r}: learning_rates is empty; give at least one.")
        if any(rate <= 0 for rate in self.learning_rates):
            raise ValueError(
                f"Row {self.name!r}: learning_rates must be positive, got {self.learning_rates}."
            )


def train_and_score(
    teaching: Teaching,
    theta: list[tf.Tensor],
    seed: int,
    splits: Sequence[str],
    on_steps: Callable[[int], None] | None = None,
) -> tuple[dict[str, Any], Lesson]:
    """Trains the student of a seed and measures it.

    Returns:
        {"seconds": …, "dev_accuracy": …, …} with every score of every split, and the lesson.
    """
    start = time.perf_counter()
    lesson = teaching.roll_out(theta, seed, on_steps=on_steps)
    tf.nest.map_structure(lambda tensor: tensor.numpy(), lesson.rollout.state.weights[-1])
    result: dict[str, Any] = {"seconds": time.perf_counter() - start}
    for split in splits:
        scores = teaching.task.evaluate(lesson.rollout.state, split)
        result |= {f"{split}_{name}": value for name, value in scores.items()}
    return result, lesson


def summary(values: Sequence[float]) -> dict[str, float | None]:
    """Returns mean and standard error over seeds; no error for a single one."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "standard_error": error}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Returns the comparison as a Markdown table, errors in percent ± standard error.

    Args:
        rows: by name, what results.json says of each.
    """
    header = ["loss", "test error %", "dev error %", "learning rate", "seeds", "seconds a student"]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for name, row in rows.items():
        lines.append(
            [
                name,
                _plus_minus(row["test_error"]),
                _plus_minus(row["dev_error"]),
                f"{row['learning_rate']:g}",
                str(len(row["students"])),
                f"{row['seconds']['mean']:.1f}",
            ]
        )
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _plus_minus(value: dict[str, Any]) -> str:
    mean, error = value["mean"], value["standard_error"]
    return f"{100 * mean:.2f}" + ("" if error is None else f" ± {100 * error:.2f}")
