"""How students are optimised: the update rule and the course of its learning rate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import gin
import keras

from tf_l2t.checks import whole_number
from tf_l2t.differentiation.update_rules import UpdateRule


@gin.register(module="tf_l2t")
def constant(learning_rate: float, num_steps: int) -> float:
    """Returns the same learning rate for every step."""
    del num_steps
    return learning_rate


@gin.register(module="tf_l2t")
def cosine(
    learning_rate: float, num_steps: int, final_fraction: float = 0.0, warmup_steps: int = 0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns half a cosine from the learning rate to a fraction of it.

    Args:
        learning_rate: the peak.
        num_steps: T.
        final_fraction: of the peak, at step T.
        warmup_steps: the first so many of the T steps, in which the learning rate rises from 0 to
            the peak along a line.

    Raises:
        ValueError: if `warmup_steps` leaves no step after it.
    """
    if whole_number("cosine", "warmup_steps", warmup_steps, 0) >= num_steps:
        raise ValueError(
            f"cosine: warmup_steps must be below T={num_steps}, got {warmup_steps}; leave steps in "
            "which the learning rate falls."
        )
    decay = functools.partial(
        keras.optimizers.schedules.CosineDecay,
        decay_steps=num_steps - warmup_steps,
        alpha=final_fraction,
    )
    if not warmup_steps:
        return decay(learning_rate)
    return decay(0.0, warmup_target=learning_rate, warmup_steps=warmup_steps)


@gin.register(module="tf_l2t")
def steps(
    learning_rate: float,
    num_steps: int,
    at: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a learning rate that is multiplied by `factor` at each of the fractions `at` of T.

    Step `round(at·T)`, counted from 0, is the first with the new rate: with T = 64,000 the defaults
    divide by 10 at 32,000 and 48,000, as He et al. (CVPR 2016, section 4.2) do.
    """
    # Keras keeps the old rate at the boundary itself.
    boundaries = [round(num_steps * fraction) - 1 for fraction in at]
    values = [learning_rate * factor**k for k in range(len(at) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)


@gin.register(module="tf_l2t")
@dataclasses.dataclass(frozen=True)
class Recipe:
    """Makes the update rule of a student from a learning rate and a budget.

    Attributes:
        update_rule: `SGD`, `Adam` or `AdamW`, called with the learning rate; bind its other
            arguments by gin.
        learning_rate_schedule: (learning rate, T) -> what the update rule takes for it.

    Raises:
        ValueError: when called, if `update_rule` makes something else, such as a Keras optimizer.
    """

    update_rule: Callable[..., UpdateRule]
    learning_rate_schedule: Callable[[float, int], Any]

    def __call__(self, learning_rate: float, num_steps: int) -> UpdateRule:
        rule = self.update_rule(learning_rate=self.learning_rate_schedule(learning_rate, num_steps))
        if not isinstance(rule, UpdateRule):
            raise ValueError(
                f"Recipe: update_rule must make an update rule, got {rule!r} of it; bind "
                "@tf_l2t.SGD, @tf_l2t.Adam or @tf_l2t.AdamW."
            )
        return rule
