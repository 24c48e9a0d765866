"""Max pooling whose second derivative is right under XLA too."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tf_l2t")
class BlockMaxPooling2D(keras.layers.Layer):
    """Takes the maximum over non-overlapping blocks by a reshape and `reduce_max`.

    XLA rounds to bfloat16 before it looks for the argmax in the second derivative of
    `keras.layers.MaxPooling2D`, so that up to a fifth of its entries are wrong. This layer has the
    same values and derivatives, is right under XLA, and is slower than MaxPooling2D without it.

    Args:
        pool_size: height and width of a block; rows and columns that fill no block are dropped.
    """

    def __init__(self, pool_size: int = 2, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        size = self.pool_size
        height, width, channels = inputs.shape[1:]
        rows, columns = height // size, width // size
        blocks = tf.reshape(
            inputs[:, : rows * size, : columns * size], [-1, rows, size, columns, size, channels]
        )
        return tf.reduce_max(blocks, axis=[2, 4])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        assert height is not None
        assert width is not None
        return batch, height // self.pool_size, width // self.pool_size, channels

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "pool_size": self.pool_size}
