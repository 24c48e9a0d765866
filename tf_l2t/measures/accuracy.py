"""Accuracy: the score that is reported."""

from __future__ import annotations

import tensorflow as tf


def accuracy(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns whether the most likely class is the target. It has no derivative.

        m = 1[argmax_j z_j = y]

    Args:
        logits: unnormalised log probabilities z, float [batch, classes]; of classes that tie the
            first is taken.
        targets: class indices y, int [batch].

    Returns:
        0 or 1 for every example, [batch], in the dtype of `logits`.

    Example:
        >>> accuracy(tf.constant([[1.0, 2.0], [3.0, 0.0]]), tf.constant([1, 1]))  # [1.0, 0.0]
    """
    predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.cast(predictions == tf.cast(targets, tf.int32), logits.dtype)
