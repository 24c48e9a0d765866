"""Learning to teach with dynamic loss functions."""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"tf_l2t needs Keras on TensorFlow, but its backend is {keras.backend.backend()!r}; set "
        "the environment variable KERAS_BACKEND=tensorflow, or change ~/.keras/keras.json."
    )

from tf_l2t.differentiation import (
    SGD,
    Adam,
    AdamW,
    UpdateRule,
    hypergradient,
    update_rule_from_keras,
)
from tf_l2t.keras_integration import TaughtLoss, Teach
from tf_l2t.runtime.loaded_teacher import LoadedTeacher, load_teacher
from tf_l2t.version import __version__

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "LoadedTeacher",
    "TaughtLoss",
    "Teach",
    "UpdateRule",
    "__version__",
    "hypergradient",
    "load_teacher",
    "update_rule_from_keras",
]
