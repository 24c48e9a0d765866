"""Names for configurations beside those that our own components register where they are."""

from __future__ import annotations

import inspect

import gin
import keras

from tf_l2t.runtime.watch import Watch
from tf_l2t.training.budget import Budget
from tf_l2t.training.rows import Row
from tf_l2t.training.teacher_step import TeacherSchedule
from tf_l2t.training.trust_region import TrustRegion

_ABSTRACT = ("Optimizer", "LossScaleOptimizer", "LearningRateSchedule")


def register_gin_names() -> None:
    """Registers records of ours, and the optimizers and schedules of Keras; once."""
    for record in (Budget, Row, TeacherSchedule, TrustRegion, Watch):
        gin.register(record, module="tf_l2t")
    for module in (keras.optimizers, keras.optimizers.schedules):
        for name, member in vars(module).items():
            if inspect.isclass(member) and name not in _ABSTRACT:
                gin.external_configurable(member, module=module.__name__, name=name)
