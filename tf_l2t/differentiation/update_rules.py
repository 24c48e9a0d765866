"""Update rules: how a gradient changes the weights, as pure functions of tensors.

A Keras optimizer assigns to variables, which no tape sees. These rules do the same arithmetic in
the same order on tensors, and are differentiated themselves. Two square roots in them have an
infinite derivative at zero, that of Adam's second moment and that of the global norm: there they
have Keras's value and the derivative zero, so that no weight without a gradient makes a NaN.
"""

from __future__ import annotations

import abc
import copy
import math
import numbers
from collections.abc import Callable
from typing import Any

import gin
import keras
import tensorflow as tf

from tf_l2t.types import Nest

LearningRate = float | Callable[[tf.Tensor], Any]
"""A number, or a function of the step such as a `keras.optimizers.schedules` object."""


class UpdateRule(abc.ABC):
    """How a gradient changes the weights: (w, u) → (w', u') with slots u, without side effects.

    Attributes:
        reads_slots: whether the derivative of a step depends on the values of the slots. Where it
            does not, a reverse pass may put zeros in their place instead of storing them.
    """

    reads_slots: bool

    @abc.abstractmethod
    def init(self, weights: list[tf.Tensor]) -> Nest:
        """Returns the slots before the first step: zeros, or () for a rule that has none."""

    @abc.abstractmethod
    def apply(
        self, weights: list[tf.Tensor], gradients: list[Any], slots: Nest, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], Nest]:
        """Takes one step.

        Args:
            weights: one tensor a weight, of any shapes.
            gradients: of the loss in each weight, a tensor or `tf.IndexedSlices` of its shape. A
                weight that does not enter the loss is given zeros: weight decay shrinks it all
                the same, whereas Keras, given None, leaves it alone.
            slots: what `init` or the step before returned.
            step: number of the step, int32 or int64 scalar, 0 for the first.

        Returns:
            The new weights and the new slots, in the structure, shapes and dtypes of the old.

        Raises:
            ValueError: if a gradient is None.
        """

    def starting_at(self, step: int) -> UpdateRule:
        """Returns the rule for a training whose fresh slots meet their first gradient at a step.

        Itself, where slots tell nothing of how many gradients they have seen.
        """
        del step
        return self


_RANGES: dict[str, tuple[str, Callable[[float], bool], str]] = {
    "learning_rate": ("in [0, inf) or a schedule", lambda x: 0 <= x < math.inf, "try 0.01"),
    "weight_decay": ("in [0, inf)", lambda x: 0 <= x < math.inf, "0.004 is usual, 0 is none"),
    "global_clipnorm": ("in (0, inf)", lambda x: 0 < x < math.inf, "1.0 is usual, None is none"),
    "l2_penalty": ("in [0, inf)", lambda x: 0 <= x < math.inf, "1e-4 is usual, 0 is none"),
    "momentum": ("in [0, 1]", lambda x: 0 <= x <= 1, "0.9 is usual, 0 is none"),
    "beta_1": ("in [0, 1)", lambda x: 0 <= x < 1, "0.9 is usual"),
    "beta_2": ("in [0, 1)", lambda x: 0 <= x < 1, "0.999 is usual"),
    "epsilon": ("in (0, inf)", lambda x: 0 < x < math.inf, "1e-7 is usual"),
}


class _KerasRule(UpdateRule):
    """What the rules share: g is clipped, w decays by w·weight_decay·lr, then comes the update.

    As in Keras the learning rate has the dtype of its schedule, `keras.config.floatx()` for a
    number, before it is cast to the dtype of a weight. All else is exact in the latter, whereas
    Keras rounds momentum, weight decay and the powers of the betas to float32 even for float64.
    """

    _slot_count = 0

    def __init__(
        self,
        learning_rate: LearningRate,
        weight_decay: float | None,
        global_clipnorm: float | None,
    ) -> None:
        self.learning_rate = learning_rate
        if not callable(learning_rate):
            self.learning_rate = self._number("learning_rate", learning_rate)
        self.weight_decay = weight_decay
        if weight_decay is not None:
            self.weight_decay = self._number("weight_decay", weight_decay)
        self.global_clipnorm = global_clipnorm
        if global_clipnorm is not None:
            self.global_clipnorm = self._number("global_clipnorm", global_clipnorm)

    def init(self, weights: list[tf.Tensor]) -> Nest:
        return tuple([tf.zeros_like(weight) for weight in weights] for _ in range(self._slot_count))

    def apply(
        self, weights: list[tf.Tensor], gradients: list[Any], slots: Nest, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], Nest]:
        for i, gradient in enumerate(gradients):
            if gradient is None:
                raise ValueError(
                    f"{type(self).__name__}: gradients[{i}] must be a tensor, got None; ask the "
                    "tape for zeros, unconnected_gradients=tf.UnconnectedGradients.ZERO"
                )
        rate = self.learning_rate(step) if callable(self.learning_rate) else self.learning_rate
        if not tf.is_tensor(rate):
            rate = tf.convert_to_tensor(rate, keras.config.floatx())
        dtypes = dict.fromkeys(weight.dtype for weight in weights)
        rates = {dtype: tf.cast(rate, dtype) for dtype in dtypes}
        sizes = {dtype: self._step_size(rates[dtype], step) for dtype in dtypes}
        if self.global_clipnorm is not None:
            gradients = _clip_by_global_norm(gradients, weights, self.global_clipnorm)
        if self.weight_decay:
            weights = [w - w * self.weight_decay * rates[w.dtype] for w in weights]
        steps = [
            self._update(weight, gradient, slot, sizes[weight.dtype])
            for weight, gradient, *slot in zip(weights, gradients, *slots, strict=True)
        ]
        new_slots = tuple([slot[k] for _, *slot in steps] for k in range(self._slot_count))
        return [weight for weight, *_ in steps], new_slots

    def _step_size(self, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Returns what multiplies the update, given the learning rate and the step."""
        del step
        return rate

    @abc.abstractmethod
    def _update(
        self, weight: tf.Tensor, gradient: Any, slots: list[tf.Tensor], size: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Returns one weight after its update, and its slots."""

    def _number(self, name: str, value: Any) -> float:
        allowed, test, remedy = _RANGES[name]
        if not isinstance(value, numbers.Real) or not test(float(value)):
            raise ValueError(
                f"{type(self).__name__}: {name} must be {allowed}, got {value!r}; {remedy}"
            )
        return float(value)


@gin.register(module="tf_l2t")
class SGD(_KerasRule):
    """Gradient descent, with momentum or Nesterov's momentum (`keras.optimizers.SGD`).

        w' = w - lr·g                                                    without momentum
        v' = momentum·v - lr·g        w' = w + v'                        with momentum
                                      w' = w + momentum·v' - lr·g        with Nesterov's

    with g ← g + l2_penalty·w before all else. Linear in the velocity v, so that a reverse pass
    need not store it.

    `l2_penalty` is the "weight decay" of papers on image classification and of Torch's SGD: it goes
    through clipping and momentum, like the gradient of l2_penalty/2·|w|² in the loss (a Keras
    regularizer of half of it on every weight, biases and batch norm included). So it is weighed
    against the loss: for one whose gradients are 20 times smaller, take it 20 times smaller.
    `weight_decay` is that of Keras, which does neither; with momentum it takes 1/(1 - momentum)
    times as much for about the same decay.

    Args:
        learning_rate: a number, or a function of the step.
        momentum: in [0, 1]; 0 keeps no velocity.
        nesterov: whether to look ahead; without effect where momentum is 0.
        weight_decay: share of w that a step of learning rate 1 takes away, before the update.
        l2_penalty: what w times it adds to the gradient.
        global_clipnorm: largest norm of all gradients together; None does not clip.

    Raises:
        ValueError: if an argument is outside its range.

    Sutskever et al. 2013. Equations (4) and (5) of L2T-DLF are about the first line alone.
    """

    reads_slots = False

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        l2_penalty: float = 0.0,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, global_clipnorm)
        self.momentum = self._number("momentum", momentum)
        self.nesterov = nesterov
        self.l2_penalty = self._number("l2_penalty", l2_penalty)
        self._slot_count = 1 if self.momentum else 0

    def apply(
        self, weights: list[tf.Tensor], gradients: list[Any], slots: Nest, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], Nest]:
        if self.l2_penalty:
            gradients = [
                None if gradient is None else _dense(gradient, weight) + weight * self.l2_penalty
                for weight, gradient in zip(weights, gradients, strict=True)
            ]
        return super().apply(weights, gradients, slots, step)

    def _update(
        self, weight: tf.Tensor, gradient: Any, slots: list[tf.Tensor], size: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        descent = _dense(gradient, weight) * size
        if not slots:
            return (weight - descent,)
        velocity = slots[0] * self.momentum - descent
        move = velocity * self.momentum - descent if self.nesterov else velocity
        return weight + move, velocity


@gin.register(module="tf_l2t")
class Adam(_KerasRule):
    """Adaptive moment estimation (`keras.optimizers.Adam`).

        m' = m + (1 - beta_1)·(g - m)        v' = v + (1 - beta_2)·(g² - v)
        w' = w - α·m' / (√v' + epsilon)      α = lr·√(1 - beta_2^t) / (1 - beta_1^t), t = step + 1

    The derivative of √v' at v' = 0 is taken as 0. There g is 0 as well, and the derivative of w'
    in g, -α·(1 - beta_1) / epsilon, is exact; it is large where epsilon is small.

    Of `tf.IndexedSlices` that hold a row more than once, v' takes the sum of the squares, not the
    square of the sum, unless global_clipnorm is set: that is how Keras trains an embedding.

    Args:
        learning_rate, weight_decay, global_clipnorm: as in `SGD`.
        beta_1: decay of m, in [0, 1).
        beta_2: decay of v, in [0, 1).
        epsilon: what keeps the quotient finite, > 0; the "epsilon hat" of the paper.

    Raises:
        ValueError: if an argument is outside its range.

    Kingma & Ba 2015, Algorithm 1 as reordered at the end of section 2.
    """

    reads_slots = True
    _slot_count = 2
    _first_step = 0

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, global_clipnorm)
        self.beta_1 = self._number("beta_1", beta_1)
        self.beta_2 = self._number("beta_2", beta_2)
        self.epsilon = self._number("epsilon", epsilon)

    def starting_at(self, step: int) -> Adam:
        """Returns the rule with a bias correction that counts from a step."""
        other = copy.copy(self)
        other._first_step = step
        return other

    def _step_size(self, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        t = tf.cast(step + 1 - self._first_step, rate.dtype)
        power_1 = tf.pow(tf.constant(self.beta_1, rate.dtype), t)
        power_2 = tf.pow(tf.constant(self.beta_2, rate.dtype), t)
        return rate * tf.sqrt(1 - power_2) / (1 - power_1)

    def _update(
        self, weight: tf.Tensor, gradient: Any, slots: list[tf.Tensor], size: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        first, second = slots
        first += (_dense(gradient, weight) - first) * (1 - self.beta_1)
        second += (_dense(_square(gradient), weight) - second) * (1 - self.beta_2)
        return weight - first * size / (_sqrt(second) + self.epsilon), first, second


@gin.register(module="tf_l2t")
class AdamW(Adam):
    """Adam with decoupled weight decay on by default (`keras.optimizers.AdamW`).

        w ← w - w·weight_decay·lr, then the step of `Adam`

    Args:
        weight_decay: as in `SGD`, but not None.
        learning_rate, beta_1, beta_2, epsilon, global_clipnorm: as in `Adam`.

    Raises:
        ValueError: if an argument is outside its range.

    Loshchilov & Hutter 2019, Algorithm 2, with the learning rate as its schedule multiplier.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        *,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=self._number("weight_decay", weight_decay),
            global_clipnorm=global_clipnorm,
        )


def _dense(gradient: Any, weight: tf.Tensor) -> tf.Tensor:
    """Returns a gradient as a tensor of the weight's shape and dtype."""
    if isinstance(gradient, tf.IndexedSlices):
        # Unlike tf.convert_to_tensor this compiles for any slices: the shape is the weight's.
        rows = weight.shape[0] or tf.shape(weight)[0]
        gradient = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, rows)
    return tf.cast(gradient, weight.dtype)


def _square(gradient: Any) -> Any:
    """Squares a gradient, `tf.IndexedSlices` slice by slice as Keras does."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(tf.square(gradient.values), gradient.indices)
    return tf.square(gradient)


def _sqrt(values: tf.Tensor) -> tf.Tensor:
    """Returns √x, whose derivative at x = 0 is 0 instead of infinite."""
    zero = tf.equal(values, 0)
    return tf.where(zero, values, tf.sqrt(tf.where(zero, tf.ones_like(values), values)))


def _clip_by_global_norm(
    gradients: list[Any], weights: list[tf.Tensor], largest: float
) -> list[tf.Tensor]:
    """Returns g·c·min(1/‖g‖, 1/c), c the largest norm; NaN if ‖g‖ is not finite."""
    values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    dtype = max((weight.dtype for weight in weights), key=lambda dtype: dtype.size)
    sums = [tf.cast(tf.reduce_sum(tf.square(each)), dtype) for each in values]
    squared = tf.reduce_sum(tf.stack(sums))
    # A constant instead of ‖g‖ = 0 keeps 1/‖g‖ and its derivative finite, and gives the scale 1.
    norm = tf.sqrt(tf.where(tf.equal(squared, 0), tf.constant(largest**2, dtype), squared))
    scale = largest * tf.minimum(1 / norm, 1 / largest) + (norm - norm)
    return [
        _dense(gradient, weight) * tf.cast(scale, weight.dtype)
        for gradient, weight in zip(gradients, weights, strict=True)
    ]
