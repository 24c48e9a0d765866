"""Problems with Keras students: a few steps with the loss that a teacher shapes."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from oracles import Problem

from tf_l2t.differentiation import UpdateRule
from tf_l2t.losses import DynamicBilinear
from tf_l2t.students import Student
from tf_l2t.types import Batch

CLASSES, BATCH = 3, 6


def images(shape: tuple[int, ...], num_batches: int, dtype: str) -> Batch:
    """Returns random batches with labels, [num_batches, batch, ...]."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((num_batches, BATCH, *shape))
    labels = rng.integers(CLASSES, size=(num_batches, BATCH))
    return Batch(tf.constant(inputs, dtype), tf.constant(labels, tf.int32))


def taught(
    student: Student,
    batches: Batch,
    rule: UpdateRule,
    *,
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = lambda inputs, t: inputs,
    seed: int = 1,
    initial_seed: int = 0,
) -> Problem:
    """Trains a student with Φ as coefficients; the last batch is the dev data.

    Args:
        prepare: (inputs, t) -> inputs, what is done to the inputs of step t.
        seed: of dropout.
        initial_seed: of the student's weights.
    """
    loss = DynamicBilinear()
    dtype = batches.inputs.dtype if batches.inputs.dtype.is_floating else tf.float64
    weights, variables = student.initial(initial_seed)
    phi = 0.3 * np.eye(CLASSES) + 0.1 * np.random.default_rng(1).standard_normal((CLASSES, CLASSES))

    def inner_loss(weights, variables, coefficients, batch):
        t, (inputs, targets) = batch
        outputs, variables, penalty = student(
            weights, variables, inputs, training=True, seed=tf.stack([seed, t])
        )
        return tf.reduce_mean(loss(outputs, targets, coefficients)) + penalty, variables

    def outer_loss(weights, variables):
        outputs, _, _ = student(weights, variables, batches.inputs[-1], training=False)
        labels = tf.one_hot(batches.targets[-1], CLASSES, dtype=outputs.logits.dtype)
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, outputs.logits))

    return Problem(
        inner_loss,
        outer_loss,
        lambda t: (t, Batch(prepare(batches.inputs[t], t), batches.targets[t])),
        rule,
        int(batches.targets.shape[0]) - 1,
        weights,
        {"phi": tf.constant(phi, dtype)},
        variables,
    )
