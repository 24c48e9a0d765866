"""Log probabilities and margins that stay finite, with their derivatives, for any logits."""

from __future__ import annotations

import tensorflow as tf

FLOOR = -1e4
"""The smallest log probability, and minus the largest margin; exp(FLOOR) is 0 in every dtype."""


def log_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Returns the log softmax, floored so that it is finite where a probability is 0.

        log p = max(log softmax(logits), -1e4)

    Infinite logits are read as the largest numbers of their dtype: one -inf is a probability of
    0, one +inf a probability of 1, and equal ones share. Where the floor holds, the derivatives
    are 0. NaN stays NaN, so that a diverged student is seen.

    Args:
        logits: unnormalised log probabilities, float [..., classes].

    Returns:
        Natural logarithms in [-1e4, 0], like `logits`.

    Example:
        >>> log_probabilities(tf.constant([[0.0, 0.0, -np.inf]]))  # [[-0.693, -0.693, -1e4]]
    """
    return tf.maximum(tf.nn.log_softmax(_finite(logits)), FLOOR)


def log_probability_of(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the log probability of the target of each example, as `log_probabilities` has it.

        log p_y = max(z_y - log Σ_j exp z_j, -1e4)

    It never holds the log probabilities of the other classes, which saves memory and time where
    there is a large vocabulary.

    Args:
        logits: unnormalised log probabilities z, float [..., classes].
        targets: class indices y, int [...].

    Returns:
        Natural logarithms in [-1e4, 0], [...], in the dtype of `logits`.

    Example:
        >>> log_probability_of(tf.constant([[0.0, 0.0]]), tf.constant([1]))  # [-0.693]
    """
    logits = _finite(logits)
    logits -= tf.stop_gradient(tf.reduce_max(logits, axis=-1, keepdims=True))
    of_target = tf.gather(logits, targets, batch_dims=logits.shape.rank - 1)
    return tf.maximum(of_target - tf.math.log(tf.reduce_sum(tf.exp(logits), axis=-1)), FLOOR)


def log_margin(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns by how much the target is more likely than the most likely other class.

        log p_y - max_{j≠y} log p_j = z_y - max_{j≠y} z_j, clipped to ±1e4

    The normaliser of the softmax cancels, so nothing is lost where p_y is close to 0 or 1.
    Infinite logits and NaN are read as in `log_probabilities`. Other classes that tie for the
    largest share the derivative evenly.

    Args:
        logits: unnormalised log probabilities z, float [batch, classes], two classes or more.
        targets: class indices y, int [batch].

    Returns:
        The margins in nats, [batch], in the dtype of `logits`: positive where correct.

    Example:
        >>> log_margin(tf.constant([[3.0, 1.0, 2.0]]), tf.constant([0]))  # [1.0]
    """
    logits = _clipped(logits)
    is_target = one_hot_like(logits, targets) > 0
    others = tf.where(is_target, tf.constant(logits.dtype.min / 2, logits.dtype), logits)
    margin = of_targets(logits, targets) - tf.reduce_max(others, axis=-1)
    return tf.clip_by_value(margin, FLOOR, -FLOOR)


def of_targets(values: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the value of the target of each example.

        v_y = Σ_j 1[j = y] v_j

    Args:
        values: finite values v, float [..., classes].
        targets: class indices y, int [...].

    Returns:
        [...], in the dtype of `values`.

    Example:
        >>> of_targets(tf.constant([[3.0, 1.0], [5.0, 7.0]]), tf.constant([0, 1]))  # [3.0, 7.0]
    """
    return tf.reduce_sum(one_hot_like(values, targets) * values, axis=-1)


def one_hot_like(values: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns 1[j = y] in the shape and dtype of `values`, [..., classes]."""
    depth = values.shape[-1] or tf.shape(values)[-1]
    return tf.one_hot(targets, depth, dtype=values.dtype)


def _finite(logits: tf.Tensor) -> tf.Tensor:
    """Returns the logits with infinities clipped, and the derivative of what was not."""
    # The derivative of the clip costs as much as that of the softmax, which hardly changes: it is 0
    # where a logit is -inf, or one alone is +inf.
    return tf.grad_pass_through(_clipped)(logits)


def _clipped(logits: tf.Tensor) -> tf.Tensor:
    # A quarter of the range, so that differences of two of them do not overflow.
    limit = logits.dtype.max / 4
    return tf.clip_by_value(logits, -limit, limit)
