"""What a teacher sees of a student: the state vector of L2T-DLF, section 4.1."""

from __future__ import annotations

import tensorflow as tf


def feature_names(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a name for each entry of the state vector."""
    precision = tuple(f"dev precision of {name}" for name in class_names)
    return ("t / T", "training accuracy", "dev accuracy", *precision)


def feature_definitions(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what each entry of the state vector is, in words, in the order of the names."""
    precision = tuple(
        f"of the observed dev examples that the student takes for {name}, the part that is right; "
        "0 where there is none"
        for name in class_names
    )
    return (
        "training step t, from 0, divided by the number of training steps T",
        "part of the observed training examples whose most likely class is right",
        "part of the observed dev examples whose most likely class is right",
        *precision,
    )


def observation(
    training_accuracy: tf.Tensor, dev_accuracy: tf.Tensor, dev_precision: tf.Tensor
) -> tf.Tensor:
    """Returns what is measured of a student for its state vector, float32 [2 + C].

    Args:
        training_accuracy: on a subset of the training data, a scalar in [0, 1].
        dev_accuracy: on a subset of the dev data, a scalar in [0, 1].
        dev_precision: of each class on that subset, [C], in [0, 1].
    """
    return tf.concat([tf.stack([training_accuracy, dev_accuracy]), dev_precision], axis=0)


def state_vector(progress: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
    """Returns s_t = (t/T, training accuracy, dev accuracy, dev precision of each class).

    Args:
        progress: t/T in [0, 1], a scalar.
        observed: what was last measured, [|s| - 1].

    Returns:
        float32 [|s|].
    """
    return tf.concat([progress[None], observed], axis=0)


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
