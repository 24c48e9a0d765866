"""A Keras model whose weights, statistics and dropout are given at each call."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_CALLS_OF_A_LAYER = 1 << 16
"""How far apart the seeds of two layers lie: Keras adds one at each call of a layer."""


class HeldWeights:
    """What students share: a Keras model as a pure function of its weights and of a seed.

    Args:
        build: () -> a built Keras model.
        model: one that `build` returned.
        network: another model on the weights of `model`, which is called in its place.
    """

    def __init__(
        self,
        build: Callable[[], keras.Model],
        model: keras.Model,
        network: keras.Model | None = None,
    ) -> None:
        self._build = build
        self.model = model
        self._network = model if network is None else network
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

    def model_with(self, weights: list[tf.Tensor], variables: list[tf.Tensor]) -> keras.Model:
        """Returns a new Keras model that holds the given weights, as a user would use it."""
        model = self._build()
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        others = [v for v in model.non_trainable_variables if not _is_seed(v)]
        for variable, value in zip(others, variables, strict=True):
            variable.assign(value)
        return model

    def _run(
        self,
        call: Callable[[keras.Model], Any],
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        seed: tf.Tensor | None,
    ) -> tuple[Any, list[tf.Tensor], tf.Tensor]:
        """Calls the network while it holds the given weights.

        Returns:
            What `call` returned, the new non-trainable variables, and the sum of the model's own
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
            outputs = call(network)
            losses = network.losses
        updated = [
            scope.get_current_value(variable)
            for variable, is_seed in zip(
                network.non_trainable_variables, self._is_seed, strict=True
            )
            if not is_seed
        ]
        penalty = tf.add_n(losses) if losses else tf.zeros([], weights[0].dtype)
        return outputs, updated, penalty


def _is_seed(variable: keras.Variable) -> bool:
    return variable.name == "seed_generator_state"


def _generator_state(seed: tf.Tensor | None, index: int) -> tf.Tensor:
    if seed is None:
        return tf.zeros([2], tf.uint32)
    first = index * _CALLS_OF_A_LAYER
    return tf.cast(tf.random.experimental.stateless_fold_in(seed, first), tf.uint32)
