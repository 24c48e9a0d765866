"""Residual networks for small images (He et al. 2016, section 4.2)."""

from __future__ import annotations

from typing import Any

import gin
import keras

from tf_l2t.checks import one_of, whole_number
from tf_l2t.students.blocks import batch_norm, convolution


@gin.register(module="tf_l2t")
def resnet(
    input_shape: tuple[int, ...],
    num_classes: int,
    depth: int = 8,
    channels: int = 16,
    shortcut: str = "identity",
) -> keras.Model:
    """Builds a residual network of three stages of n = (depth - 2) / 6 blocks.

        y = relu(x + bn(conv3x3(relu(bn(conv3x3(x))))))

    The stages have c, 2c and 4c channels; the first convolution of the second and of the third has
    stride 2. Weights start He-normal. No layer has biases but batch norm and the last one.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        depth: layers with weights, 6n + 2: 8, 14, 20, 32, 44, 56, 110.
        channels: c, filters of the first stage.
        shortcut: what x becomes where its shape changes. "identity" takes every other pixel and
            puts zeros into the new channels (option A of the paper, as it has for CIFAR):
            75,290 weights for a depth of 8 and CIFAR-10, 0.27 M for 20, 0.46 M for 32.
            "projection" is a 1x1 convolution with batch norm (option B): 78,042 for a depth of 8.

    Raises:
        ValueError: for a depth that is not 6n + 2, channels below 1, or another shortcut.

    He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), section 4.2.
    """
    if whole_number("resnet", "depth", depth, 8) % 6 != 2:
        raise ValueError(f"resnet: depth must be 6n + 2, got {depth}; try 8, 20 or 32.")
    whole_number("resnet", "channels", channels, 1)
    one_of("resnet", "shortcut", shortcut, ("identity", "projection"))
    inputs = keras.Input(input_shape)
    x = keras.layers.ReLU()(batch_norm(convolution(inputs, channels, 3)))
    for stage in range(3):
        for block in range((depth - 2) // 6):
            strides = 2 if stage and not block else 1
            x = _block(x, channels * 2**stage, strides, shortcut)
    x = keras.layers.GlobalAveragePooling2D()(x)
    logits = keras.layers.Dense(num_classes, kernel_initializer="he_normal")(x)
    return keras.Model(inputs, logits, name=f"resnet{depth}")


def _block(x: Any, filters: int, strides: int, shortcut: str) -> Any:
    y = keras.layers.ReLU()(batch_norm(convolution(x, filters, 3, strides)))
    y = batch_norm(convolution(y, filters, 3))
    if x.shape[-1] != filters:
        if shortcut == "projection":
            x = batch_norm(convolution(x, filters, 1, strides))
        else:
            x = _with_zero_channels(x[:, ::strides, ::strides], filters)
    return keras.layers.ReLU()(keras.layers.Add()([x, y]))


def _with_zero_channels(x: Any, filters: int) -> Any:
    return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, filters - x.shape[-1]]])
