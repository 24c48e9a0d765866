"""What a warm start is called where it is kept: a digest of all that it depends on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.version import __version__

if TYPE_CHECKING:
    from tf_l2t.training.rollout import Teaching

_LOOKED_AT = 8
"""Steps of a student whose batch and learning rate enter the digest."""

_NUMBERS = 64
"""Numbers of each of its first weights whose signs do."""


def warm_start_name(teaching: Teaching, seed: int) -> str:
    """Returns a digest of data, student, its first weights, batches, update rule and versions.

    Two students of one name go through the same steps, up to the rounding of the machines that
    take them.

    Args:
        teaching: how students are trained in their warm start.
        seed: of the student.

    Raises:
        ValueError: if the student is a model that cannot tell its configuration.
    """
    task, step, num_steps = teaching.task, teaching.engine.step, teaching.budget.num_steps
    steps = np.unique(np.linspace(0, num_steps - 1, _LOOKED_AT, dtype=np.int32))
    told = {
        "versions": [__version__, tf.__version__, keras.__version__],
        "data": task.describe(),
        "student": _configuration(task.student.model),
        "rule": _settings(step.update_rule, steps),
        "steps": num_steps,
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    with tf.device("CPU:0"):
        state = teaching.first_state(seed)
        batches = [teaching.batch_at(int(t), seed, state) for t in steps]
    for first in [*state.weights, *state.variables]:
        # Machines differ in the last bits of an orthogonal matrix.
        signs = np.sign(np.ravel(first)[:_NUMBERS])
        digest.update(f"{first.dtype} {first.shape} {signs.astype(int)}".encode())
    for part in tf.nest.flatten(batches, expand_composites=True):
        # Batches without candidates have None in their place.
        array = np.array([]) if part is None else np.ascontiguousarray(part)
        assert not array.dtype.hasobject
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _configuration(model: keras.Model) -> Any:
    """Returns what a model is built of; its layers are numbered, since Keras' names count on."""
    try:
        config = keras.saving.serialize_keras_object(model)
    except NotImplementedError as error:
        raise ValueError(
            f"warm starts cannot be kept of the student {model.name!r}, which does not tell its "
            "configuration; give the model a get_config, or leave --warm_starts out."
        ) from error
    numbers: dict[str, int] = {}

    def numbered(value: Any) -> Any:
        if isinstance(value, dict):
            name = value.get("name")
            if isinstance(name, str):
                numbers.setdefault(name, len(numbers))
            return {key: numbered(part) for key, part in sorted(value.items())}
        if isinstance(value, list | tuple):
            return [numbered(part) for part in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    # Once to learn the names, some of which are told after they are used.
    numbered(config)
    return numbered(config)


def _settings(rule: Any, steps: np.ndarray) -> list[Any]:
    """Returns the class and the numbers of an update rule, of a schedule those at some steps."""
    settings = dict(vars(rule))
    for name, value in settings.items():
        if callable(value):
            settings[name] = [float(value(tf.constant(t))) for t in steps]
    return [type(rule).__name__, sorted(settings.items())]
