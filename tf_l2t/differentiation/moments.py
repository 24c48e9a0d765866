"""Mean and variance whose second derivative is right, for batch, layer and group norm."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_of_tensorflow = tf.nn.moments
_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def exact_moments() -> Iterator[None]:
    """Puts a variance that can be differentiated twice in the place of that of `tf.nn.moments`.

        var = mean (x - mean x)²

    TensorFlow stops the gradient of the inner mean, which leaves the derivative of the variance as
    it is, 2·(x - mean x)/N, but takes the mean out of the derivative of that. Keras calls it for
    batch, layer and group norm, so that every hypergradient through one of them would be wrong.
    """
    global _users
    with _lock:
        _users += 1
        tf.nn.moments = _moments
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                tf.nn.moments = _of_tensorflow


def _moments(
    x: Any, axes: Any, shift: None = None, keepdims: bool = False, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    del shift, name
    x = tf.convert_to_tensor(x)
    y = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
    mean = tf.reduce_mean(y, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(y, mean), axes, keepdims=True)
    if not keepdims:
        mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)
