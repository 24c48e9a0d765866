"""Multinomial logistic regression."""

from __future__ import annotations

import gin
import keras


@gin.register(module="tf_l2t")
def logistic_regression(input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Builds a single linear layer; 7,850 weights for MNIST.

    Args:
        input_shape: shape of one input; it is flattened.
        num_classes: number of logits.
    """
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)],
        name="logistic_regression",
    )
