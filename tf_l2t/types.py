"""The records that the parts of tf_l2t hand to each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

Nest = Any
"""A tensor, or a list, tuple, dict or named tuple of nests (whatever `tf.nest` takes)."""


class Batch(NamedTuple):
    """Examples of one training or evaluation step."""

    inputs: Nest
    """What the student reads, [batch, ...]."""
    targets: Nest
    """What it should predict; for classification class indices, int32 [batch]."""


class Outputs(NamedTuple):
    """What a classifier returns for a batch, as losses and measures read it."""

    logits: tf.Tensor
    """Unnormalised log probabilities, [batch, classes]."""
    features: tf.Tensor | None = None
    """Input of the last layer, [batch, width]; None where that is no `Dense` layer."""
    kernel: tf.Tensor | None = None
    """Weights of the last layer, [width, classes]; None like `features`."""


class StudentState(NamedTuple):
    """Everything that one training step reads and writes: z = (weights, slots, variables)."""

    weights: list[tf.Tensor]
    """Trainable weights ω."""
    slots: Nest
    """Slots of the update rule, such as velocities; () where it has none."""
    variables: list[tf.Tensor]
    """Non-trainable variables, such as moving statistics of batch norm."""
