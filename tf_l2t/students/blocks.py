"""What the convolutional students are built of, with the settings of their papers."""

from __future__ import annotations

from typing import Any

import keras


def convolution(x: Any, filters: int, size: int, strides: int = 1) -> Any:
    """Returns a convolution without bias that keeps the size, its weights He-normal at first.

    Args:
        x: [batch, height, width, channels].
        filters: channels of the result.
        size: height and width of the kernel.
        strides: step between two positions, rounded up where the size does not divide.
    """
    return keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)


def batch_norm(x: Any) -> Any:
    """Returns batch norm with Torch's settings, which the papers' code used.

    The moving statistics keep 0.9 at each step (Keras: 0.99), and ε is 1e-5 (Keras: 1e-3).
    """
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def dropout(x: Any, rate: float) -> Any:
    """Returns dropout, or `x` itself for a rate of 0."""
    return keras.layers.Dropout(rate)(x) if rate else x
