"""A Keras classifier as a pure function of its weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.types import Nest, Outputs

BuildModel = Callable[[tuple[int, ...], int], keras.Model]


class Student:
    """A Keras model called on given weights, its dropout a function of (seed, step).

    Args:
        build: (input_shape without batch, num_classes) -> a Keras model that returns logits,
            [batch, num_classes]. Where it is a Functional or Sequential model whose last layer
            is a trainable `Dense` without activation, the outputs also carry that layer's
            features and kernel.
        input_shape: shape of one input.
        num_classes: number of classes.

    Raises:
        ValueError: if the model does not return [batch, num_classes], or returns probabilities.
    """

    def __init__(self, build: BuildModel, input_shape: tuple[int, ...], num_classes: int) -> None:
        self._build = lambda: _built(build(tuple(input_shape), num_classes), input_shape)
        self.model = self._build()
        _check(self.model, input_shape, num_classes)
        self._last, self._network = _split_last_layer(self.model)
        trainable = [id(variable) for variable in self._network.trainable_variables]
        self._kernel_index = trainable.index(id(self._last.kernel)) if self._last else None
        self._is_seed = [_is_seed(v) for v in self._network.non_trainable_variables]

    @property
    def num_weights(self) -> int:
        """Number of trainable weights |ω|."""
        return sum(int(np.prod(v.shape)) for v in self._network.trainable_variables)

    def max_pooling_layers(self) -> list[str]:
        """Returns the names of Keras' max-pooling layers, which XLA differentiates wrongly."""

        def names(layer: keras.Layer) -> list[str]:
            if type(layer).__name__.startswith(("MaxPool", "GlobalMaxPool")):
                return [layer.name]
            return [name for part in getattr(layer, "layers", ()) for name in names(part)]

        return names(self.model)

    def initial(self, seed: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns fresh weights and non-trainable variables, functions of the seed alone.

        Keras initialisers without a seed of their own draw one from Python's generator; it and
        NumPy's are seeded. A model that draws from any other must seed it itself.
        """
        # Not keras.utils.set_random_seed: it makes TensorFlow forget every compiled function,
        # which costs more than a second for each new student.
        python_state, numpy_state = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
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
        network = self._network
        held = zip(network.trainable_variables, weights, strict=True)
        others = zip(network.non_trainable_variables, non_trainable, strict=True)
        # Not stateless_call: it does not pass `training` on to the layers of a subclassed model.
        with keras.StatelessScope([*held, *others], collect_losses=True) as scope:
            outputs = network(inputs, training=training)
            losses = network.losses
        updated = [
            scope.get_current_value(variable)
            for variable, is_seed in zip(
                network.non_trainable_variables, self._is_seed, strict=True
            )
            if not is_seed
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


def _built(model: keras.Model, input_shape: tuple[int, ...]) -> keras.Model:
    if not model.built:
        model(keras.KerasTensor((None, *input_shape)))
    return model


def _is_functional(model: keras.Model) -> bool:
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")


def _check(model: keras.Model, input_shape: tuple[int, ...], num_classes: int) -> None:
    if _is_functional(model):
        shape = model.output_shape
    else:
        shape = getattr(model(keras.KerasTensor((None, *input_shape))), "shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] != num_classes:
        raise ValueError(
            f"the student {model.name!r} must return logits of shape (batch, {num_classes}), "
            f"got {shape}; give its last layer {num_classes} units, the classes of the data."
        )
    last = _last_operation(model)
    names = {getattr(part, "__name__", "") for part in (type(last), getattr(last, "activation", 0))}
    found = sorted(names & {"Softmax", "Sigmoid", "softmax", "sigmoid"})
    if found:
        raise ValueError(
            f"the student {model.name!r} must return logits, got a last layer with "
            f"{found[0].lower()}; remove that activation, the losses apply their own."
        )


def _split_last_layer(model: keras.Model) -> tuple[keras.layers.Dense | None, keras.Model]:
    if not _is_functional(model):
        return None, model
    last, node_index, _ = model.outputs[0]._keras_history
    linear = getattr(last, "activation", None) is keras.activations.linear
    if not (isinstance(last, keras.layers.Dense) and linear and last.trainable):
        return None, model
    features = last._inbound_nodes[node_index].input_tensors[0]
    return last, keras.Model(model.inputs, [model.outputs[0], features])


def _last_operation(model: keras.Model) -> Any:
    """Returns what computes the output; of a subclassed model its last layer, if it has one."""
    if not _is_functional(model):
        return model.layers[-1] if model.layers else None
    last = model.outputs[0]._keras_history.operation
    return _last_operation(last) if isinstance(last, keras.Model) else last
