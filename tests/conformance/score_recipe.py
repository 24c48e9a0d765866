"""What every loss and every measure is held to, as functions of a score of named float inputs."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_l2t.types import Nest

BATCH, WIDTH, CLASSES = 6, 3, 5
PER_EXAMPLE = ("logits", "candidate_logits", "features")

Inputs = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Score:
    """A loss or a measure: (inputs, targets) -> [batch], and the inputs' shapes and values."""

    function: Callable[[Inputs, Nest], tf.Tensor]
    coefficients: Mapping[str, np.ndarray]
    batch: int = BATCH

    def targets(self, count: int) -> Nest:
        """Returns the targets of a batch."""
        return tf.range(count) % CLASSES

    def target(self, targets: Nest, i: int) -> Nest:
        """Returns those of one example, as a batch of one."""
        return targets[i : i + 1]

    def inputs(self, dtype: tf.DType, logits: np.ndarray | None = None) -> dict[str, tf.Tensor]:
        rng = np.random.default_rng(5)
        if logits is None:
            logits = 0.3 * rng.normal(size=(self.batch, CLASSES))
        values = {
            "logits": logits,
            "features": rng.normal(size=(len(logits), WIDTH)),
            "kernel": rng.normal(size=(WIDTH, CLASSES)),
            **self.coefficients,
        }
        return {name: tf.constant(value, dtype) for name, value in values.items()}

    def derivatives(self, inputs: Inputs, targets: Nest, direction: Inputs) -> tuple:
        """Returns the values, the gradient of a weighted sum of them and its Hessian's product."""
        dtype = inputs["logits"].dtype
        weights = tf.constant(np.linspace(0.5, 1.5, int(inputs["logits"].shape[0])), dtype)
        zero = tf.UnconnectedGradients.ZERO
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                values = self.function(inputs, targets)
                total = tf.reduce_sum(weights * values)
            gradient = inner.gradient(total, inputs, unconnected_gradients=zero)
            gradient = {name: tf.convert_to_tensor(part) for name, part in gradient.items()}
        product = outer.gradient(gradient, inputs, direction, unconnected_gradients=zero)
        product = {name: tf.convert_to_tensor(part) for name, part in product.items()}
        return values, gradient, product


def check_value_and_batch(score: Score) -> None:
    """One finite value an example, in the dtype of the logits, that no other example changes."""
    targets = score.targets(score.batch)
    for dtype in (tf.float32, tf.float64):
        inputs = score.inputs(dtype)
        together = score.function(inputs, targets)
        assert together.dtype == dtype
        assert together.shape == (score.batch,)
        for i in range(score.batch):
            one = {k: v[i : i + 1] if k in PER_EXAMPLE else v for k, v in inputs.items()}
            alone = score.function(one, score.target(targets, i))
            rtol = 1e-5 if dtype == tf.float32 else 1e-12
            np.testing.assert_allclose(alone, together[i : i + 1], rtol=rtol, atol=rtol)


def check_derivatives(score: Score) -> None:
    """Gradient and Hessian-vector product, mixed parts too, against central differences."""
    targets = score.targets(score.batch)
    inputs = score.inputs(tf.float64)
    direction = _direction(inputs)
    weights = np.linspace(0.5, 1.5, score.batch)
    derivatives = tf.function(lambda at: score.derivatives(at, targets, direction))
    _, gradient, product = derivatives(inputs)

    step = 1e-5
    ahead = derivatives({k: v + step * direction[k] for k, v in inputs.items()})[1]
    behind = derivatives({k: v - step * direction[k] for k, v in inputs.items()})[1]
    for name, value in inputs.items():
        difference = np.zeros(value.shape)
        for index in np.ndindex(*value.shape):
            shift = np.zeros(value.shape)
            shift[index] = step
            above, below = (derivatives({**inputs, name: value + s})[0] for s in (shift, -shift))
            difference[index] = np.sum(weights * (above - below).numpy()) / (2 * step)
        _assert_close(gradient[name], difference)
        _assert_close(product[name], (ahead[name] - behind[name]) / (2 * step))


def check_extremes(score: Score) -> None:
    """Values and both derivatives are finite where logits are huge, infinite or equal."""
    rows = [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1e4, -1e4, 0.0, 1e4, 3.0],
        [1e30, -1e30, 0.0, 1.0, -1e4],
        [-1e30, -1e30, -1e30, -1e30, -1e30],
        [-np.inf, 0.0, 1.0, 2.0, 1.0],
        [np.inf, 0.0, 1.0, 2.0, 1.0],
        [np.inf, -np.inf, np.inf, 0.0, -np.inf],
        [-np.inf, -np.inf, -np.inf, -np.inf, -np.inf],
    ]
    logits = np.repeat(rows, CLASSES, axis=0)
    targets = score.targets(len(logits))
    for dtype in (tf.float32, tf.float64):
        inputs = score.inputs(dtype, logits)
        direction = _direction(inputs)
        for part in tf.nest.flatten(score.derivatives(inputs, targets, direction)):
            assert np.all(np.isfinite(part))


def check_not_a_number(score: Score) -> None:
    """NaN is not hidden: a student that diverged must be seen."""
    inputs = score.inputs(tf.float32, np.array([[0.0, np.nan, 0.0, 0.0, 0.0], [0.0] * CLASSES]))
    value = score.function(inputs, score.targets(2)).numpy()
    assert np.isnan(value[0])
    assert np.isfinite(value[1])


def check_compiled(score: Score) -> None:
    """Eager, as a graph and under XLA it is the same function, derivatives included."""
    targets = score.targets(score.batch)
    inputs = score.inputs(tf.float32)
    direction = _direction(inputs)
    eager = tf.nest.flatten(score.derivatives(inputs, targets, direction))
    for jit in (False, True):
        compiled = tf.function(score.derivatives, jit_compile=jit)
        for got, want in zip(
            tf.nest.flatten(compiled(inputs, targets, direction)), eager, strict=True
        ):
            scale = max(1.0, float(np.max(np.abs(want))))
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * scale)


CHECKS = [
    check_value_and_batch,
    check_derivatives,
    check_extremes,
    check_not_a_number,
    check_compiled,
]


def _direction(inputs: Inputs) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(7)
    return {k: tf.constant(rng.normal(size=v.shape), v.dtype) for k, v in inputs.items()}


def _assert_close(got: tf.Tensor, want: np.ndarray) -> None:
    scale = max(1e-3, float(np.max(np.abs(want))))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * scale)
