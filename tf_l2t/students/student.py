"""A Keras classifier as a pure function of its weights."""

from __future__ import annotations

import random
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.types import Nest, Outputs

BuildModel = Callable[[tuple[int, ...], int], keras.Model]


class Student:
    """A Keras model called with `stateless_call`, its dropout a function of (seed, step).

    Args:
        build: (input_shape without batch, num_classes) -> a Keras model that returns logits,
            [batch, num_classes]. Where its last layer is a `Dense` without activation, the
            outputs also carry that layer's features and kernel.
        input_shape: shape of one input.
        num_classes: number of classes.

    Raises:
        ValueError: if the model does not return [batch, num_classes], or returns probabilities.
    """

    def __init__(self, build: BuildModel, input_shape: tuple[int, ...], num_classes: int) -> None:
        self._build = lambda: build(tuple(input_shape), num_classes)
        self.model = self._build()
        _check(self.model, num_classes)
        self._last, self._network = _split_last_layer(self.model)
        trainable = [id(variable) for variable in self._network.trainable_variables]
        self._kernel_index = trainable.index(id(self._last.kernel)) if self._last else None
        self._is_seed = [_is_seed(v) for v in self._network.non_trainable_variables]

    @property
    def num_weights(self) -> int:
        """Number of trainable weights |ω|."""
        return sum(int(np.prod(v.shape)) for v in self._network.trainable_variables)

    def initial(self, seed: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns fresh weights and non-trainable variables, functions of the seed alone."""
        python_state, numpy_state = random.getstate(), np.random.get_state()
        keras.utils.set_random_seed(seed)
        try:
            model = self._build()
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
        weights = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        variables = [
            tf.convert_to_tensor(v) for v in model.non_trainable_variables if not _is_seed(v)
        ]
        return weights, variables

    def __call__(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        inputs: Nest,
        *,
        training: bool,
        seed: tf.Tensor | None = None,
    ) -> tuple[Outputs, list[tf.Tensor], tf.Tensor]:
        """Runs the model.

        Args:
            weights: trainable weights, like those of `initial`.
            variables: non-trainable variables, like those of `initial`.
            inputs: what the model reads, [batch, ...].
            training: whether dropout is on and batch norm uses the batch's statistics.
            seed: int32 [2]; dropout is a function of it. Needed in training only.

        Returns:
            The outputs, the new non-trainable variables, and the sum of the model's own
            regularisation losses (a scalar).
        """
        remaining = iter(variables)
        non_trainable = [
            _generator_state(seed, k) if is_seed else next(remaining)
            for k, is_seed in enumerate(self._is_seed)
        ]
        outputs, non_trainable, losses = self._network.stateless_call(
            weights, non_trainable, inputs, training=training, return_losses=True
        )
        updated = [
            v for v, is_seed in zip(non_trainable, self._is_seed, strict=True) if not is_seed
        ]
        penalty = tf.add_n(losses) if losses else tf.zeros([], weights[0].dtype)
        if self._kernel_index is None:
            return Outputs(outputs), updated, penalty
        logits, features = outputs
        return Outputs(logits, features, weights[self._kernel_index]), updated, penalty

    def model_with(self, weights: list[tf.Tensor], variables: list[tf.Tensor]) -> keras.Model:
        """Returns a new Keras model that holds the given weights, as a user would use it."""
        model = self._build()
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        others = [v for v in model.non_trainable_variables if not _is_seed(v)]
        for variable, value in zip(others, variables, strict=True):
            variable.assign(value)
        return model


def _is_seed(variable: keras.Variable) -> bool:
    return variable.name == "seed_generator_state"


def _generator_state(seed: tf.Tensor | None, index: int) -> tf.Tensor:
    if seed is None:
        return tf.zeros([2], tf.uint32)
    return tf.cast(tf.random.experimental.stateless_fold_in(seed, index), tf.uint32)


def _check(model: keras.Model, num_classes: int) -> None:
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] != num_classes:
        raise ValueError(
            f"the student {model.name!r} must return logits of shape (batch, {num_classes}), "
            f"got {shape}; give its last layer {num_classes} units, the classes of the data."
        )
    activation = getattr(model.layers[-1], "activation", None)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        raise ValueError(
            f"the student {model.name!r} must return logits, got a last layer with "
            f"{activation.__name__}; remove that activation, the losses apply their own."
        )


def _split_last_layer(model: keras.Model) -> tuple[keras.layers.Dense | None, keras.Model]:
    last = model.layers[-1]
    linear = getattr(last, "activation", None) is keras.activations.linear
    functional = isinstance(model, keras.Sequential) or hasattr(model, "operations")
    if not (isinstance(last, keras.layers.Dense) and linear and functional):
        return None, model
    return last, keras.Model(model.inputs, [model.outputs[0], last.input])
