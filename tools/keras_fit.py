"""Keras' own training, `keras.Model.fit`, called in the way that is fastest here.

Knows nothing of tf_l2t but the batches of sentences that it is given.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from measuring import seconds

_STEPS_OF_A_TRIAL = 200
_STEPS_PER_EXECUTION = 50

Epoch = Callable[[int], dict[str, Any]]
"""seed -> arguments of `fit`, for an epoch of a given number of batches."""


class FitData(abc.ABC):
    """Training data as `fit` may be given it.

    Attributes:
        one_shape: whether all batches have the same shape; XLA compiles anew for every other one.
    """

    one_shape: bool

    @abc.abstractmethod
    def forms(self, num_steps: int) -> tuple[str, ...]:
        """Returns the names of the forms that an epoch of so many batches can have."""

    @abc.abstractmethod
    def epoch(self, form: str, num_steps: int) -> Epoch:
        """Returns epochs of so many batches in one of the forms."""


class ImageBatches(FitData):
    """Images in batches that `fit`, or a pipeline, shuffles itself, whatever the seed.

    Its forms are "tf.data", a pipeline over the uint8 images, and "numpy", float32 images in
    memory.

    Args:
        images: uint8 [examples, ...].
        labels: int32 [examples].
        batch_size: examples of a batch.
    """

    one_shape = True

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        self._images, self._labels = images, labels
        self._batch_size = batch_size

    def forms(self, num_steps: int) -> tuple[str, ...]:
        enough = num_steps * self._batch_size <= len(self._labels)
        return ("tf.data", "numpy") if enough else ("tf.data",)

    def epoch(self, form: str, num_steps: int) -> Epoch:
        if form == "tf.data":
            batches = self._pipeline(num_steps)
            return lambda seed: {"x": batches, "shuffle": False}
        count = num_steps * self._batch_size
        images, labels = self._images[:count].astype(np.float32) / 255, self._labels[:count]
        return lambda seed: {
            "x": images,
            "y": labels,
            "batch_size": self._batch_size,
            "shuffle": True,
        }

    def _pipeline(self, num_steps: int) -> tf.data.Dataset:
        """Shuffles rows and not images, batches before it maps: no buffer of images to fill."""
        images, labels = tf.constant(self._images), tf.constant(self._labels)
        count, size = len(self._labels), self._batch_size

        def epoch(_: tf.Tensor) -> tf.data.Dataset:
            order = tf.random.shuffle(tf.range(count))[: count // size * size]
            return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [-1, size]))

        def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            inputs = tf.cast(tf.gather(images, rows), tf.float32) / 255
            return inputs, tf.gather(labels, rows)

        return (
            tf.data.Dataset.counter()
            .flat_map(epoch)
            .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
            .take(num_steps)
            .apply(tf.data.experimental.assert_cardinality(num_steps))
            .prefetch(tf.data.AUTOTUNE)
        )


class SentenceBatches(FitData):
    """Sentence pairs in the very batches of our own training, each padded to its longest pair.

    Words are weighed by 1 and padding by 0.

    Args:
        gather: rows, int32 [rows], -1 for none -> source and target (`types.Sentences`).
        draw: (seed, number of batches) -> their rows, int32 [batches, rows].
    """

    one_shape = False

    def __init__(
        self,
        gather: Callable[[tf.Tensor], tuple[Any, Any]],
        draw: Callable[[int, int], np.ndarray],
    ) -> None:
        self._gather, self._draw = gather, draw

    def forms(self, num_steps: int) -> tuple[str, ...]:
        del num_steps
        return ("tf.data",)

    def epoch(self, form: str, num_steps: int) -> Epoch:
        del form
        # A variable, since another pipeline for other rows would have to be traced.
        rows = tf.Variable(self._draw(0, num_steps))

        def batch(t: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
            source, target = self._gather(rows[t])
            return (source, target), target.ids, target.mask(tf.float32)

        batches = (
            tf.data.Dataset.range(num_steps)
            .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )

        def drawn(seed: int) -> dict[str, Any]:
            rows.assign(self._draw(seed, num_steps))
            return {"x": batches, "shuffle": False}

        return drawn


@dataclasses.dataclass(frozen=True)
class FitVariant:
    """One way of calling `keras.Model.fit`.

    Attributes:
        data: the form of the data, one of `FitData.forms`.
        steps_per_execution: steps of one call from Python.
        jit_compile: False, or Keras' default "auto": XLA where the model's layers allow it.
    """

    data: str = "tf.data"
    steps_per_execution: int = 1
    jit_compile: bool | str = False

    def __str__(self) -> str:
        """Returns it in words."""
        xla = "XLA" if self.jit_compile else "no XLA"
        steps = self.steps_per_execution
        return f"{self.data}, {steps} step{'s' * (steps > 1)} a call, {xla}"


class KerasFit:
    """Training on cross entropy with `keras.Model.fit`, called in the way that is fastest here.

    It starts from one step a call, the first form of the data and no XLA, and changes to the
    other forms, to several steps a call and, where all batches have one shape, to XLA, each where
    a trial of at most 200 steps is faster for it.

    Args:
        model: a Keras model that returns logits.
        data: what it is trained on.
        optimizer: makes the optimizer.
        num_steps: batches of a call of `fit`; one epoch to Keras.

    Attributes:
        model: the same, which every call trains further.
        variant: the way that was chosen.
        trials: seconds a step of each way that was tried.
    """

    def __init__(
        self,
        model: keras.Model,
        data: FitData,
        optimizer: Callable[[], keras.optimizers.Optimizer],
        num_steps: int,
    ) -> None:
        self.model = model
        self._data, self._optimizer = data, optimizer
        self.trials: dict[str, float] = {}
        self.variant = self._choose(num_steps)
        self._compile(self.variant)
        self._prepare(self.variant, min(num_steps, _STEPS_OF_A_TRIAL))(0)
        self._fit = self._prepare(self.variant, num_steps)

    def __call__(self, seed: int) -> None:
        """Trains for `num_steps` batches more, in the order of a seed where the data has one."""
        self._fit(seed)

    def _choose(self, num_steps: int) -> FitVariant:
        first, *others = self._data.forms(num_steps)
        changes: list[dict[str, Any]] = [{"data": form} for form in others]
        changes.append({"steps_per_execution": min(num_steps, _STEPS_PER_EXECUTION)})
        if self._data.one_shape:
            changes.append({"jit_compile": "auto"})
        best = FitVariant(first)
        fastest = self._try(best, num_steps)
        for change in changes:
            variant = dataclasses.replace(best, **change)
            took = self._try(variant, num_steps)
            if took < fastest:
                best, fastest = variant, took
        return best

    def _try(self, variant: FitVariant, num_steps: int) -> float:
        steps = min(num_steps, _STEPS_OF_A_TRIAL)
        self._compile(variant)
        fit = self._prepare(variant, steps)
        fit(0)
        took = min(seconds(lambda: fit(0)) for _ in range(3)) / steps
        self.trials[str(variant)] = took
        return took

    def _compile(self, variant: FitVariant) -> None:
        self.model.compile(
            optimizer=self._optimizer(),
            # The mean over examples or, where these have weights, over the words of a batch.
            loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            steps_per_execution=variant.steps_per_execution,
            jit_compile=variant.jit_compile,
        )

    def _prepare(self, variant: FitVariant, num_steps: int) -> Callable[[int], Any]:
        epoch = self._data.epoch(variant.data, num_steps)
        return lambda seed: self.model.fit(**epoch(seed), epochs=1, verbose=0)
