"""LeNet-5 (LeCun et al., *Gradient-Based Learning Applied to Document Recognition*, 1998)."""

from __future__ import annotations

import gin
import keras

from tf_l2t.students.pooling import BlockMaxPooling2D


@gin.register(module="tf_l2t")
def lenet(input_shape: tuple[int, ...], num_classes: int, xla_pooling: bool = False) -> keras.Model:
    """Builds LeNet with 6 and 16 filters of 5×5 and dense layers of 120 and 84 units.

    ReLU and max pooling, as usual today: 61,706 weights for MNIST.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        xla_pooling: pool with `BlockMaxPooling2D`, which `jit_compile=True` needs.
    """
    pool = BlockMaxPooling2D if xla_pooling else keras.layers.MaxPooling2D
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            pool(2),
            layers.Conv2D(16, 5, activation="relu"),
            pool(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(num_classes),
        ],
        name="lenet",
    )
