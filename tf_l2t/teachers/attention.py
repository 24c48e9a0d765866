"""The teacher of L2T-DLF: attention over learned keys."""

from __future__ import annotations

from collections.abc import Mapping

import gin
import keras
import numpy as np
import tensorflow as tf

from tf_l2t.checks import not_negative
from tf_l2t.teachers.initial import initial_coefficients


@gin.register(module="tf_l2t")
def attention_teacher(
    coefficient_shapes: Mapping[str, tuple[int, ...]],
    num_features: int,
    *,
    num_keys: int = 10,
    diagonal: float = 0.2,
    off_diagonal: float = 0.002,
    key_scale: float = 1.0,
    time_scale: float | None = None,
    relative: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Builds the teacher Φ_t = W softmax(V s_t).

    Every key starts with the same coefficients, so that Φ is at first the same for every student;
    V is random and lets the keys part. Random W would make off-diagonal entries negative, which
    pays the student for log p_j → -∞ without bound.

    Args:
        coefficient_shapes: name and shape of each coefficient, as
            `Loss.coefficient_shapes` returns them.
        num_features: |s|.
        num_keys: N. With one key the teacher is blind to the state: it learns a constant.
        diagonal: Φ_0(i, i).
        off_diagonal: Φ_0(i, j), j ≠ i.
        key_scale: standard deviation of the entries of V.
        time_scale: that of the entries that t/T is multiplied with, the first feature; `key_scale`
            if None. The accuracies and precisions change little through most of a training, so
            that with many of them at a `key_scale` of 1 one key has most of the attention from
            begin to end. A small `key_scale` beside a `time_scale` of some units lets the keys
            take turns.
        relative: whether W is in units of the coefficients that it starts from (of 1 where they
            are 0): a step of so many per cent of each, so that one learning rate, such as 0.05 of
            Adam, suits the diagonal, what lies beside it, and V.
        seed: of V.

    Returns:
        A Keras model: states, float32 [batch, |s|] -> {name: [batch, *shape]}.

    Raises:
        ValueError: if there is nothing to set, no key, or a scale is negative or not finite.

    Wu et al. 2018, section 4.1: W ∈ R^{C×C×N}, V ∈ R^{N×|s|}, N = 10.
    """
    if not coefficient_shapes:
        raise ValueError(
            "coefficient_shapes is empty: the loss takes no coefficients from a teacher; use a "
            "taught loss such as DynamicBilinear."
        )
    if num_keys < 1:
        raise ValueError(f"num_keys must be at least 1, got {num_keys}; the paper has 10.")
    for name, scale in (("key_scale", key_scale), ("time_scale", time_scale or 0.0)):
        not_negative("attention_teacher", name, scale, "0.1 to 5.0 is usual.")
    layers = keras.layers
    state = keras.Input((num_features,), name="state")
    attention = layers.Dense(
        num_keys,
        activation="softmax",
        use_bias=False,
        kernel_initializer=RandomKeys(key_scale, time_scale, seed),
        name="attention",
    )(state)
    outputs = {}
    for name, value in initial_coefficients(coefficient_shapes, diagonal, off_diagonal).items():
        unit = np.where(value == 0, 1, value) if relative else np.ones_like(value)
        flat = layers.Dense(
            value.size,
            use_bias=False,
            kernel_initializer=SameForAllKeys(value / unit),
            name=f"values_of_{name}",
        )(attention)
        if relative:
            flat = layers.Rescaling(unit.ravel().tolist())(flat)
        outputs[name] = layers.Reshape(value.shape, name=name)(flat)
    return keras.Model(state, outputs, name="attention_teacher")


def attention_weights(
    teacher: keras.Model, theta: list[tf.Tensor], states: tf.Tensor
) -> tf.Tensor | None:
    """Returns softmax(V s) of a teacher with a layer named "attention", None of another.

    Args:
        teacher: any teacher.
        theta: its trainable parameters, in its order.
        states: float32 [n, |s|].

    Returns:
        float32 [n, keys].
    """
    layer = next((layer for layer in teacher.layers if layer.name == "attention"), None)
    if layer is None:
        return None
    # As Keras does in stateless_call, but for the part of the teacher up to this layer.
    variables = zip(teacher.trainable_variables, theta, strict=True)
    with keras.StatelessScope(state_mapping=[(v, value) for v, value in variables]):
        return keras.Model(teacher.inputs, layer.output)(states)


@keras.saving.register_keras_serializable(package="tf_l2t")
class RandomKeys(keras.initializers.Initializer):
    """Draws the keys, V, from a normal distribution.

    Args:
        scale: standard deviation.
        time_scale: that of the entries for the first feature; `scale` if None.
        seed: of the draw.
    """

    def __init__(self, scale: float, time_scale: float | None, seed: int) -> None:
        self.scale, self.time_scale, self.seed = scale, time_scale, seed

    def __call__(self, shape: tuple[int, int], dtype: str | None = None) -> keras.KerasTensor:
        """Returns the kernel [features, keys]."""
        first = self.scale if self.time_scale is None else self.time_scale
        scales = np.array([first] + [self.scale] * (shape[0] - 1), "float32")
        normal = keras.random.normal(shape, dtype=dtype, seed=self.seed)
        return normal * keras.ops.cast(scales[:, None], normal.dtype)

    def get_config(self) -> dict[str, object]:
        return {"scale": self.scale, "time_scale": self.time_scale, "seed": self.seed}


@keras.saving.register_keras_serializable(package="tf_l2t")
class SameForAllKeys(keras.initializers.Initializer):
    """Gives every key the same coefficients.

    Args:
        value: the coefficients.
    """

    def __init__(self, value: np.ndarray) -> None:
        self.value = np.asarray(value, "float32")

    def __call__(self, shape: tuple[int, int], dtype: str | None = None) -> keras.KerasTensor:
        """Returns the kernel [keys, coefficients]."""
        return keras.ops.cast(np.tile(self.value.reshape(1, -1), (shape[0], 1)), dtype)

    def get_config(self) -> dict[str, object]:
        return {"value": self.value.tolist()}
