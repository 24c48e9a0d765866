"""A Keras classifier as a pure function of its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_l2t.students.held_weights import HeldWeights
from tf_l2t.types import Nest, Outputs

BuildModel = Callable[[tuple[int, ...], int], keras.Model]


class Student(HeldWeights):
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
        def built() -> keras.Model:
            return _built(build(tuple(input_shape), num_classes), input_shape)

        model = built()
        _check(model, input_shape, num_classes)
        self._last, network = _split_last_layer(model)
        super().__init__(built, model, network)
        trainable = [id(variable) for variable in network.trainable_variables]
        self._kernel_index = trainable.index(id(self._last.kernel)) if self._last else None

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
        outputs, updated, penalty = self._run(
            lambda network: network(inputs, training=training), weights, variables, seed
        )
        if self._kernel_index is None:
            return Outputs(outputs), updated, penalty
        logits, features = outputs
        return Outputs(logits, features, weights[self._kernel_index]), updated, penalty


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
