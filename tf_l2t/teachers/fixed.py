"""The teacher that never changes its mind: the control for what dynamics and learning are worth."""

from __future__ import annotations

from collections.abc import Mapping

import gin
import keras
import numpy as np

from tf_l2t.teachers.initial import initial_coefficients


@gin.register(module="tf_l2t")
def fixed_teacher(
    coefficient_shapes: Mapping[str, tuple[int, ...]],
    num_features: int,
    *,
    diagonal: float = 0.2,
    off_diagonal: float = 0.002,
) -> keras.Model:
    """Builds a teacher without parameters: the same coefficients in every state.

    Args:
        coefficient_shapes: name and shape of each coefficient, as
            `Loss.coefficient_shapes` returns them.
        num_features: |s|.
        diagonal: Φ(i, i).
        off_diagonal: Φ(i, j), j ≠ i.

    Returns:
        A Keras model: states, float32 [batch, |s|] -> {name: [batch, *shape]}.
    """
    values = initial_coefficients(coefficient_shapes, diagonal, off_diagonal)
    state = keras.Input((num_features,), name="state")
    outputs = {name: Constant(value, name=name)(state) for name, value in values.items()}
    return keras.Model(state, outputs, name="fixed_teacher")


@keras.saving.register_keras_serializable(package="tf_l2t")
class Constant(keras.layers.Layer):
    """Returns the same array for every example of a batch.

    Args:
        value: the array.
    """

    def __init__(self, value: np.ndarray, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.array = np.asarray(value, "float32")

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        shape = (keras.ops.shape(inputs)[0], *self.array.shape)
        return keras.ops.broadcast_to(keras.ops.convert_to_tensor(self.array)[None], shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], *self.array.shape)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "value": self.array.tolist()}
