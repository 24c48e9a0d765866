"""Wide residual networks (Zagoruyko & Komodakis 2016)."""

from __future__ import annotations

from typing import Any

import gin
import keras

from tf_l2t.checks import part, whole_number
from tf_l2t.students.blocks import batch_norm, convolution, dropout


@gin.register(module="tf_l2t")
def wide_resnet(
    input_shape: tuple[int, ...],
    num_classes: int,
    depth: int = 40,
    width: int = 10,
    channels: int = 16,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds WRN-depth-width: three stages of n = (depth - 4) / 6 pre-activated blocks.

        y = x + conv3x3(dropout(relu(bn(conv3x3(relu(bn(x)))))))

    The first convolution has c filters, the stages c·k, 2c·k and 4c·k; the first convolution of
    the second and of the third has stride 2. Where the shape changes, x becomes a 1x1 convolution
    of relu(bn(x)). Weights start He-normal.

    Args:
        input_shape: (height, width, channels).
        num_classes: number of logits.
        depth: layers with weights, 6n + 4: 10, 16, 22, 28, 40.
        width: k, how many times wider than a residual network the stages are.
        channels: c.
        dropout_rate: part of what is dropped between the convolutions of a block, in [0, 1); the
            paper has 0, and 0.3 where it says so.

    55.8 M weights for WRN-40-10 and 36.5 M for WRN-28-10, as in Table 5 of the paper.

    Raises:
        ValueError: for a depth that is not 6n + 4, a width or channels below 1, or a rate that is
            not a part.

    Zagoruyko & Komodakis, "Wide Residual Networks" (BMVC 2016), section 2.
    """
    if whole_number("wide_resnet", "depth", depth, 10) % 6 != 4:
        raise ValueError(f"wide_resnet: depth must be 6n + 4, got {depth}; try 16, 28 or 40.")
    whole_number("wide_resnet", "width", width, 1)
    whole_number("wide_resnet", "channels", channels, 1)
    part("wide_resnet", "dropout_rate", dropout_rate)
    inputs = keras.Input(input_shape)
    x = convolution(inputs, channels, 3)
    for stage in range(3):
        for block in range((depth - 4) // 6):
            filters = channels * width * 2**stage
            x = _block(x, filters, 2 if stage and not block else 1, not block, dropout_rate)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(batch_norm(x)))
    logits = keras.layers.Dense(num_classes, kernel_initializer="he_normal")(x)
    return keras.Model(inputs, logits, name=f"wide_resnet_{depth}_{width}")


def _block(x: Any, filters: int, strides: int, first: bool, dropout_rate: float) -> Any:
    active = keras.layers.ReLU()(batch_norm(x))
    y = keras.layers.ReLU()(batch_norm(convolution(active, filters, 3, strides)))
    y = convolution(dropout(y, dropout_rate), filters, 3)
    if first and (strides != 1 or x.shape[-1] != filters):
        x = convolution(active, filters, 1, strides)
    return keras.layers.Add()([x, y])
