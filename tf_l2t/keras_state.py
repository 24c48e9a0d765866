"""The state of a student that Keras trains: what a teacher sees of it, measured on the device."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.teachers.state_features import observation, precision_per_class
from tf_l2t.types import Batch


def class_indices(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns labels as class indices, int32 [batch]; -1 for what is no label.

    Args:
        labels: indices, [batch] or [batch, 1], or one-hot rows, [batch, classes], of any dtype.
        num_classes: C.

    Raises:
        ValueError: for another shape.
    """
    if labels.dtype.is_integer or labels.dtype.is_bool:
        labels = tf.cast(labels, tf.int64)  # uint8 does not hold the number of classes
    if not (labels.dtype.is_integer or labels.dtype.is_floating):
        raise ValueError(f"labels must be numbers, got {labels.dtype.name}; give class indices.")
    width = labels.shape[1] if labels.shape.rank == 2 else None
    if labels.shape.rank == 2 and width == num_classes:
        one_hot = tf.reduce_all((labels == 0) | (labels == 1), axis=1)
        one_hot &= tf.math.count_nonzero(labels, axis=1) == 1
        return tf.where(one_hot, tf.argmax(labels, axis=1, output_type=tf.int32), -1)
    if labels.shape.rank != 1 and width != 1:
        raise ValueError(
            f"labels must be class indices of shape [batch] or [batch, 1], or one-hot rows of "
            f"shape [batch, {num_classes}], got {labels.shape}; the teacher is for {num_classes} "
            "classes."
        )
    labels = tf.reshape(labels, [-1])
    # Compared before the cast: in int32, NaN and 0.5 would be labels.
    within = tf.logical_and(labels >= 0, labels < num_classes)
    indices = tf.cast(tf.where(within, labels, tf.zeros_like(labels)), tf.int32)
    whole = tf.cast(indices, labels.dtype) == labels
    return tf.where(tf.logical_and(within, whole), indices, -1)


def first_examples(name: str, data: Any, count: int, num_classes: int) -> Batch:
    """Returns the first examples of some data, as tensors.

    Args:
        name: of the argument, for messages.
        data: (inputs, labels), or a dataset of such batches; sample weights are ignored.
        count: how many examples to take at most.
        num_classes: C.

    Raises:
        ValueError: if there is no example, or a label is not a class.
    """
    pair = f"{name} must be (inputs, labels) or a batched dataset of such pairs"
    if isinstance(data, tuple | list):
        data = [data]
    elif isinstance(data, keras.utils.PyDataset):
        # Its iteration need not end: what lies behind the last batch may be an empty one.
        batches = itertools.count() if data.num_batches is None else range(data.num_batches)
        data = map(data.__getitem__, batches)
    elif not isinstance(data, Iterable):
        raise ValueError(f"Teach: {pair}, got {type(data).__name__}; pass x and y together.")
    taken: list[Batch] = []
    missing = count
    for batch in data:
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise ValueError(f"Teach: {pair}, got a batch that is a {type(batch).__name__}.")
        taken.append(_first_of_batch(name, batch, missing, num_classes))
        missing -= int(taken[-1].targets.shape[0])
        if missing <= 0:
            break
    if missing == count:
        raise ValueError(f"Teach: {name} has no example; give some that the model is measured on.")
    examples = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *taken)
    if int(tf.reduce_min(examples.targets)) < 0:
        raise ValueError(
            f"Teach: {name} has labels that are no class of the teacher; they must be from 0 to "
            f"{num_classes - 1}."
        )
    return examples


def _first_of_batch(name: str, batch: Sequence[Any], count: int, num_classes: int) -> Batch:
    try:
        targets = class_indices(tf.convert_to_tensor(batch[1]), num_classes)[:count]
    except ValueError as error:
        raise ValueError(f"Teach: {name}: {error}") from error
    inputs = tf.nest.map_structure(lambda array: tf.convert_to_tensor(array[:count]), batch[0])
    rows = {int(tf.shape(array)[0]) for array in [*tf.nest.flatten(inputs), targets]}
    if len(rows) > 1:
        raise ValueError(
            f"Teach: {name} must have as many labels as inputs, got {sorted(rows)} of them; pass "
            "one label for each example, and a dataset in batches."
        )
    return Batch(inputs, targets)


class Observer:
    """Measures what the state vector holds beside t/T, in one compiled function.

    Args:
        model: a Keras classifier; logits or probabilities, the most likely class is the same.
        num_classes: C.
        dev: dev examples.
        training: training examples; None to take what `running_accuracy` returns.
        batch_size: examples that the model sees at a time.
        running_accuracy: from the dev accuracy, what stands for the accuracy on training data.
    """

    def __init__(
        self,
        model: keras.Model,
        num_classes: int,
        dev: Batch,
        training: Batch | None,
        batch_size: int,
        running_accuracy: Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        self._model = model
        self._num_classes = num_classes
        self._examples = {
            name: _Chunks(examples, batch_size)
            for name, examples in (("dev", dev), ("training", training))
            if examples is not None
        }
        self._running_accuracy = running_accuracy
        self.observe = tf.function(self._observe)

    def outputs(self) -> np.ndarray:
        """Returns what the model makes of the first chunk of the dev examples."""
        inputs = tf.nest.map_structure(lambda array: array[0], self._examples["dev"].inputs)
        return keras.ops.convert_to_numpy(predict(self._model, inputs))

    def _observe(self) -> tf.Tensor:
        predictions = {name: self._predictions(chunks) for name, chunks in self._examples.items()}
        accuracy = {
            name: tf.reduce_mean(tf.cast(predictions[name] == chunks.targets, tf.float32))
            for name, chunks in self._examples.items()
        }
        if "training" not in accuracy:
            accuracy["training"] = self._running_accuracy(accuracy["dev"])
        precision = precision_per_class(
            predictions["dev"], self._examples["dev"].targets, self._num_classes
        )
        return observation(accuracy["training"], accuracy["dev"], precision)

    def _predictions(self, chunks: _Chunks) -> tf.Tensor:
        if chunks.number == 1:
            predicted = self._classes(tf.nest.map_structure(lambda array: array[0], chunks.inputs))
        else:
            predicted = tf.map_fn(
                self._classes, chunks.inputs, fn_output_signature=tf.int32, parallel_iterations=1
            )
        return tf.reshape(predicted, [-1])[: chunks.targets.shape[0]]

    def _classes(self, inputs: Any) -> tf.Tensor:
        return tf.argmax(predict(self._model, inputs), axis=-1, output_type=tf.int32)


class _Chunks:
    """Examples in chunks of one size, [number, size, ...]; the last repeats examples to be full."""

    def __init__(self, examples: Batch, size: int) -> None:
        count = int(examples.targets.shape[0])
        size = min(size, count)
        self.number = -(-count // size)
        rows = tf.reshape(tf.minimum(tf.range(self.number * size), count - 1), [self.number, size])
        self.targets = examples.targets
        self.inputs = tf.nest.map_structure(lambda array: tf.gather(array, rows), examples.inputs)


def predict(model: keras.Model, inputs: Any) -> tf.Tensor:
    """Returns the model's outputs in inference mode, as Keras' own test step calls it."""
    if "training" in inspect.signature(model.call).parameters:
        return model(inputs, training=False)
    return model(inputs)
