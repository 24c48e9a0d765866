"""What a teacher sees of a student: the state vector of L2T-DLF, section 4.1."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Observation(NamedTuple):
    """How a student does at one moment of its training; all values in [0, 1]."""

    training_accuracy: tf.Tensor
    """On a subset of the training data, a scalar."""
    dev_accuracy: tf.Tensor
    """On a subset of the dev data, a scalar."""
    dev_precision: tf.Tensor
    """Of each class on that subset, [classes]; 0 for a class that is never predicted."""


def num_features(num_classes: int) -> int:
    """Returns |s| = 3 + C."""
    return 3 + num_classes


def feature_names(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a name for each entry of the state vector."""
    precision = tuple(f"dev precision of {name}" for name in class_names)
    return ("t / T", "training accuracy", "dev accuracy", *precision)


def state_vector(progress: tf.Tensor, observation: Observation) -> tf.Tensor:
    """Returns s_t = (t/T, training accuracy, dev accuracy, dev precision of each class).

    Args:
        progress: t/T in [0, 1], a scalar.
        observation: how the student did when it was last observed.

    Returns:
        float32 [3 + C].
    """
    scalars = tf.stack([progress, observation.training_accuracy, observation.dev_accuracy])
    return tf.concat([scalars, observation.dev_precision], axis=0)


def precision_per_class(predictions: tf.Tensor, labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns the precision of each class, float32 [classes]: right among all so predicted.

    Args:
        predictions: predicted classes, int [n].
        labels: true classes, int [n].
        num_classes: C.
    """
    predicted = tf.math.bincount(predictions, minlength=num_classes, maxlength=num_classes)
    right = tf.math.bincount(
        tf.boolean_mask(predictions, tf.equal(predictions, labels)),
        minlength=num_classes,
        maxlength=num_classes,
    )
    return tf.math.divide_no_nan(tf.cast(right, tf.float32), tf.cast(predicted, tf.float32))
