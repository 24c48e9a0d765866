"""The large-margin softmax loss."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from tf_l2t.checks import not_negative
from tf_l2t.losses.base import Loss
from tf_l2t.measures.log_probabilities import log_probabilities, of_targets, one_hot_like
from tf_l2t.types import Nest, Outputs

MARGINS = (1, 2, 3, 4)
SMALLEST_SQUARE = 1e-16
"""Below this (‖W_y‖‖x‖)² the angle means nothing; the second derivative would grow as 1/‖x‖."""


@gin.register(module="tf_l2t")
class LargeMarginSoftmax(Loss):
    """Cross entropy that asks for an angle to the target's weights m times as small.

        l = -log softmax(f)_y,    f_j = z_j for j ≠ y
        f_y = z_y + (‖W_y‖‖x‖ ψ(θ) - W_yᵀx) / (1 + λ),    cos θ = W_yᵀx / (‖W_y‖‖x‖)
        ψ(θ) = (-1)^k cos(mθ) - 2k,    θ in [kπ/m, (k+1)π/m]
        λ_t = max(λ_min, λ_0 (1 + γt)^(-power))

    f_y is the paper's (λ‖W_y‖‖x‖ cos θ + ‖W_y‖‖x‖ ψ(θ)) / (1 + λ) plus the bias of the last
    layer, where z has one. λ anneals from cross entropy (large λ) to the margin (λ = 0). At
    x = 0 or W_y = 0, where θ is not defined, f_y = z_y.

    Args:
        margin: m, one of 1 (cross entropy), 2, 3 and 4.
        annealing_base: λ_0, at least 0; 0 is no annealing.
        annealing_gamma: γ per step, at least 0.
        annealing_power: at least 0.
        annealing_minimum: λ_min, at least 0; the authors try 5 or 10 where training is hard.
            The defaults are the authors' for CIFAR-10, where m = 2; for MNIST they have m = 4
            with γ = 2.5e-5 and a power of 35, for augmented CIFAR-10 m = 2 with γ = 1e-5. All
            are for 30,000 steps; scale γ to a training of another length.

    Raises:
        ValueError: a hyper-parameter is outside its range; when called, if `outputs` has no
            features and kernel, or coefficients no "annealing".

    Example:
        >>> loss = LargeMarginSoftmax(margin=2)
        >>> loss(Outputs(logits, features, kernel), targets, loss.schedule(step))

    Liu et al. (ICML 2016), sections 3.2 and 4, equations (4) to (6); λ_t as in their Caffe layer.
    """

    formula = (
        "l = -log softmax(f)_y; f_j = z_j for j != y; "
        "f_y = z_y + (|W_y| |x| psi(theta) - W_y.x) / (1 + annealing)"
    )

    def __init__(
        self,
        *,
        margin: int = 2,
        annealing_base: float = 1000.0,
        annealing_gamma: float = 2e-5,
        annealing_power: float = 45.0,
        annealing_minimum: float = 0.0,
    ) -> None:
        if margin not in MARGINS:
            raise ValueError(
                f"LargeMarginSoftmax: margin must be one of {MARGINS}, got {margin}; "
                "use 2 for a usual margin."
            )
        annealing = {
            "annealing_base": (annealing_base, "0.0 for no annealing"),
            "annealing_gamma": (annealing_gamma, "0.0 for a constant annealing"),
            "annealing_power": (annealing_power, "0.0 for a constant annealing"),
            "annealing_minimum": (annealing_minimum, "0.0 for the whole margin at the end"),
        }
        for name, (value, remedy) in annealing.items():
            not_negative("LargeMarginSoftmax", name, value, f"use {remedy}.")
        self.margin = int(margin)
        self.annealing_base = annealing_base
        self.annealing_gamma = annealing_gamma
        self.annealing_power = annealing_power
        self.annealing_minimum = annealing_minimum

    def schedule(self, step: tf.Tensor) -> Nest:
        """Returns {"annealing": λ_t}, a float32 scalar."""
        elapsed = self.annealing_gamma * tf.cast(step, tf.float32)
        decay = tf.exp(-self.annealing_power * tf.math.log1p(elapsed))
        return {"annealing": tf.maximum(self.annealing_base * decay, self.annealing_minimum)}

    def __call__(self, outputs: Outputs, targets: tf.Tensor, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch]; coefficients are what `schedule` returns."""
        if outputs.features is None or outputs.kernel is None:
            raise ValueError(
                "LargeMarginSoftmax: outputs.features and outputs.kernel must be the input and "
                "the weights of the last layer, got None; use a student that ends in one Dense "
                "layer and returns them."
            )
        if "annealing" not in coefficients:
            raise ValueError(
                f"LargeMarginSoftmax: coefficients['annealing'] is missing, got "
                f"{sorted(coefficients)}; pass what schedule(step) returns."
            )
        logits = outputs.logits
        annealing = tf.cast(coefficients["annealing"], logits.dtype)
        features = tf.cast(outputs.features, logits.dtype)
        kernel = tf.cast(outputs.kernel, logits.dtype)
        gain = self._margin_gain(features, kernel, targets) / (1 + annealing)
        logits += one_hot_like(logits, targets) * gain[:, tf.newaxis]
        return -of_targets(log_probabilities(logits), targets)

    def _margin_gain(self, features: tf.Tensor, kernel: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Returns ‖W_y‖‖x‖ ψ(θ) - W_yᵀx for every example, [batch]; 0 where θ is not defined."""
        product = of_targets(tf.matmul(features, kernel), targets)
        kernel_squares = tf.reduce_sum(tf.square(kernel), axis=0, keepdims=True)
        feature_squares = tf.reduce_sum(tf.square(features), axis=1, keepdims=True)
        square = of_targets(kernel_squares * feature_squares, targets)
        defined = square > SMALLEST_SQUARE
        # The inner `where` keeps the derivative of the root finite in the branch not taken.
        norms = tf.sqrt(tf.where(defined, square, tf.ones_like(square)))
        cosine = product / norms
        # Clips rounding errors in the value alone: the derivatives at θ = 0 and π stay right.
        cosine += tf.stop_gradient(tf.clip_by_value(cosine, -1, 1) - cosine)
        gain = norms * self._psi(cosine) - product
        return tf.where(defined, gain, tf.zeros_like(gain))

    def _psi(self, cosine: tf.Tensor) -> tf.Tensor:
        """Returns ψ(θ) from cos θ."""
        boundaries = [math.cos(j * math.pi / self.margin) for j in range(1, self.margin)]
        passed = [tf.cast(cosine < boundary, cosine.dtype) for boundary in boundaries]
        sign = tf.ones_like(cosine)
        for past in passed:
            sign *= 1 - 2 * past
        k = tf.add_n(passed) if passed else tf.zeros_like(cosine)
        return sign * self._chebyshev(cosine) - 2 * k

    def _chebyshev(self, cosine: tf.Tensor) -> tf.Tensor:
        """Returns cos(mθ) = T_m(cos θ), with T_{n+1}(c) = 2c T_n(c) - T_{n-1}(c)."""
        previous, current = tf.ones_like(cosine), cosine
        for _ in range(self.margin - 1):
            previous, current = current, 2 * cosine * current - previous
        return current
