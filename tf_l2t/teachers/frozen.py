"""A trained teacher that is not trained any further."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf


def frozen_teacher(
    function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]],
    coefficient_shapes: Mapping[str, tuple[int, ...]],
    num_features: int,
) -> keras.Model:
    """Wraps a function of states, such as a loaded teacher, as a teacher without parameters.

    Args:
        function: states, float32 [batch, |s|] -> {name: [batch, *shape]}.
        coefficient_shapes: name and shape of each coefficient, as
            `Loss.coefficient_shapes` returns them.
        num_features: |s|.

    Returns:
        A Keras model: states, float32 [batch, |s|] -> {name: [batch, *shape]}.
    """
    state = keras.Input((num_features,), name="state")
    return keras.Model(state, _Frozen(function, coefficient_shapes)(state), name="frozen_teacher")


class _Frozen(keras.layers.Layer):
    def __init__(
        self,
        function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(name="frozen")
        self._function = function
        self._shapes = dict(shapes)

    def call(self, states: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = self._function(states)
        return {name: outputs[name] for name in self._shapes}

    def compute_output_spec(self, states: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
        batch = states.shape[0]
        return {
            name: keras.KerasTensor((batch, *shape), states.dtype)
            for name, shape in self._shapes.items()
        }
