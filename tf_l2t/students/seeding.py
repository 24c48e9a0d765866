"""Random initial weights from a seed, without a trace on anyone else's random numbers."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np
from keras.src.backend.common import global_state
from tensorflow.python.eager import context

_KERAS_STATE = ("global_random_seed", "global_seed_generator")


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds Python, NumPy, TensorFlow and Keras, and gives each its state back at the end."""
    eager = context.context()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    tensorflow_seed, tensorflow_random = eager._seed, getattr(eager, "_rng", None)
    keras_state = {name: global_state.get_global_attribute(name) for name in _KERAS_STATE}
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        eager._seed, eager._rng = tensorflow_seed, tensorflow_random
        for name, value in keras_state.items():
            global_state.set_global_attribute(name, value)
