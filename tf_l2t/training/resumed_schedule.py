"""A learning rate schedule that goes on while the optimizer counts its steps anew."""

from __future__ import annotations

from typing import Any

import keras


class ResumedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, some steps on.

    Args:
        schedule: the other one.

    Attributes:
        offset: what the steps of the optimizer lag behind those of the schedule.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule) -> None:
        self.schedule = schedule
        self.offset = 0

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        return self.schedule(step + self.offset)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.optimizers.schedules.serialize(self.schedule)}
