"""The multi-layer perceptron of L2T-DLF, section 4.1."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import keras


@gin.register(module="tf_l2t")
def mlp(
    input_shape: tuple[int, ...], num_classes: int, hidden: Sequence[int] = (500,)
) -> keras.Model:
    """Builds a perceptron with ReLU; by default 784-500-10, 397,510 weights for MNIST.

    Args:
        input_shape: shape of one input; it is flattened.
        num_classes: number of logits.
        hidden: units of each hidden layer.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            *(layers.Dense(units, activation="relu") for units in hidden),
            layers.Dense(num_classes),
        ],
        name="mlp",
    )
