"""What must hold where the batches of one student are split over devices."""

from __future__ import annotations

from tf_l2t.losses.base import Loss
from tf_l2t.tasks.task import Task


def check_splitting(task: Task, loss: Loss, num_parts: int, jit_compile: bool) -> None:
    """Checks that every batch may be split into some parts; anything may be left whole.

    Raises:
        ValueError: if batches have fewer examples, the loss has a state, or XLA compiles.
    """
    if task.smallest_batch < num_parts:
        raise ValueError(
            f"batch_size={task.smallest_batch} cannot be split over {num_parts} replicas; take "
            "larger batches, or Distribution.replicas = 'students'."
        )
    if num_parts == 1:
        return
    if jit_compile:
        raise ValueError(
            "jit_compile=True cannot split batches, since XLA compiles for one device; use "
            "Distribution.replicas = 'students', or leave jit_compile off."
        )
    if loss.initial_state(len(task.class_names), seed=0):
        raise ValueError(
            f"loss={type(loss).__name__} learns from whole batches, which cannot be split over "
            f"{num_parts} replicas; take Distribution.replicas = 'students'."
        )
