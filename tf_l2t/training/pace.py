"""How long a student step takes here, found by a rehearsal that leaves nothing behind."""

from __future__ import annotations

import time
from typing import NamedTuple

import tensorflow as tf

from tf_l2t.differentiation.step import floating
from tf_l2t.training.rollout import Teaching

# Below so many student steps the rehearsal would take more than a hundredth or two of the run.
_LEAST_STEPS, _LEAST_SEGMENTS = 20_000, 500
# Of the run, for the forward pass, whose traces the run uses again.
_TRACING_SHARE = 0.01


class Pace(NamedTuple):
    """Seconds of a student step, the observation of its segment included."""

    forward: float
    reverse: float
    """Beyond the forward pass, under the storage policy of the teaching."""


def measure_pace(teaching: Teaching, theta: list[tf.Tensor], total_steps: int) -> Pace | None:
    """Times one segment of a student's training, once it is traced, and its reverse pass.

    Args:
        teaching: how students are taught.
        theta: the teacher's parameters; [] without a teacher.
        total_steps: student steps of the run.

    Returns:
        The pace; None where it would cost a run of so few steps more than about 2 % of its time,
        and where several devices work side by side.
    """
    length = min(teaching.budget.observe_every, teaching.budget.num_steps)
    if teaching.replicas.count > 1 or total_steps < max(_LEAST_STEPS, _LEAST_SEGMENTS * length):
        return None
    short, seed = teaching.shortened(length), 0

    def forward() -> float:
        start = time.perf_counter()
        (lesson,) = short.roll_out_each(theta, [seed])
        lesson.rollout.state.weights[-1].numpy()
        return time.perf_counter() - start

    def both() -> float:
        start = time.perf_counter()
        (lesson,) = short.roll_out_each(theta, [seed], record=True)
        adjoint = [tf.ones_like(tensor) for tensor in floating(lesson.rollout.state)]
        (result,) = short.reverse_each([lesson], theta, [adjoint])
        float(result.initial_norm)
        return time.perf_counter() - start

    first, again = forward(), forward()
    if first > _TRACING_SHARE * total_steps * again / length:
        return None
    both()
    return Pace(again / length, max(0.0, both() - again) / length)
