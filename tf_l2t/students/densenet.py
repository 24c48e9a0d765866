"""Densely connected networks with bottlenecks and compression (Huang et al. 2017)."""

from __future__ import annotations

from typing import Any

import gin
import keras

from tf_l2t.checks import part, whole_number
from tf_l2t.students.blocks import batch_norm, convolution, dropout


@gin.register(module="tf_l2t")
def densenet(
    input_shape: tuple[int, ...],
    num_classes: int,
    depth: int = 190,
    growth_rate: int = 40,
    compression: float = 0.5,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds DenseNet-BC: three dense blocks of n = (depth - 4) / 6 layers.

        x_{l+1} = [x_l, conv3x3_k(relu(bn(conv1x1_4k(relu(bn(x_l))))))]

    The first convolution has 2k filters. Between two blocks, relu(bn(x)) goes through a 1x1
    convolution with θ times as many filters as it has channels, rounded down, and average pooling
    over 2x2. Weights start He-normal.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        depth: layers with weights, 6n + 4: 100, 190, 250.
        growth_rate: k, the channels that each layer adds.
        compression: θ, in (0, 1].
        dropout_rate: part of what is dropped after each convolution but the first, in [0, 1); the
            paper has 0.2 on data without augmentation, else 0.

    0.8 M weights for a depth of 100 and k = 12, 25.6 M for 190 and 40, as in Table 2 of the paper.

    Raises:
        ValueError: for a depth that is not 6n + 4, a growth rate below 1, a compression outside
            (0, 1], one that leaves no channel, or a rate that is not a part.

    Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks" (CVPR
    2017), section 3.
    """
    if whole_number("densenet", "depth", depth, 10) % 6 != 4:
        raise ValueError(f"densenet: depth must be 6n + 4, got {depth}; try 40, 100 or 190.")
    whole_number("densenet", "growth_rate", growth_rate, 1)
    if not 0 < compression <= 1:
        raise ValueError(f"densenet: compression must be in (0, 1], got {compression}; try 0.5.")
    part("densenet", "dropout_rate", dropout_rate)
    inputs = keras.Input(input_shape)
    x = convolution(inputs, 2 * growth_rate, 3)
    for block in range(3):
        if block:
            x = _transition(x, compression, dropout_rate)
        for _ in range((depth - 4) // 6):
            x = keras.layers.Concatenate()([x, _layer(x, growth_rate, dropout_rate)])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(batch_norm(x)))
    logits = keras.layers.Dense(num_classes, kernel_initializer="he_normal")(x)
    return keras.Model(inputs, logits, name=f"densenet_bc_{depth}_{growth_rate}")


def _layer(x: Any, growth_rate: int, dropout_rate: float) -> Any:
    x = convolution(keras.layers.ReLU()(batch_norm(x)), 4 * growth_rate, 1)
    x = dropout(x, dropout_rate)
    x = convolution(keras.layers.ReLU()(batch_norm(x)), growth_rate, 3)
    return dropout(x, dropout_rate)


def _transition(x: Any, compression: float, dropout_rate: float) -> Any:
    filters = int(compression * x.shape[-1])
    if not filters:
        raise ValueError(
            f"densenet: compression={compression} leaves nothing of {x.shape[-1]} channels; raise "
            "it, or growth_rate."
        )
    x = convolution(keras.layers.ReLU()(batch_norm(x)), filters, 1)
    # "same", so that an image of one pixel stays one; even sizes have no padding.
    return keras.layers.AveragePooling2D(2, padding="same")(dropout(x, dropout_rate))
