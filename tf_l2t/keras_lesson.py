"""What the taught loss and its callback share while Keras trains a model."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_l2t.runtime.loaded_teacher import LoadedTeacher
from tf_l2t.teachers.state_features import state_vector

NO_TEACH = (
    "TaughtLoss: nobody shows the model to the teacher; pass "
    "callbacks=[tf_l2t.Teach(teacher, dev_data)] to fit, or compile the model with another loss "
    "to evaluate it."
)


class KerasLesson:
    """What the loss and the callback share while one model is taught: t, T, and what was measured.

    Args:
        model: the compiled model.
        num_observed: entries of the state vector beside t/T.
    """

    def __init__(self, model: keras.Model, num_observed: int) -> None:
        self.model = weakref.ref(model)
        self.strategy = model.distribute_strategy
        self.optimizer = model.optimizer
        self.teaching = False

        def variable(value: Any, dtype: Any, **options: Any) -> tf.Variable:
            options = options or {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
            return tf.Variable(value, trainable=False, dtype=dtype, **options)

        with self.strategy.scope():
            dtype = self._iterations().dtype
            self._start = variable(0, dtype)
            self._limit = variable(0, dtype)
            self._num_steps = variable(1, tf.float32)
            self._observed = variable(tf.zeros([num_observed]), tf.float32)
            of_replicas = {
                "synchronization": tf.VariableSynchronization.ON_READ,
                "aggregation": tf.VariableAggregation.SUM,
            }
            self._counts = variable(tf.zeros([2]), tf.float32, **of_replicas)
            self._batch = variable(tf.zeros([2]), tf.float32, **of_replicas)
            of_replicas["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
            self._batch_at = variable(-1, dtype, **of_replicas)

    def is_known(self) -> bool:
        """Returns whether the model is taught now, or only evaluated since it was."""
        model = self.model()
        if self.teaching or model is None:
            return self.teaching
        return model.train_function is None or isinstance(model.train_function, WithoutTeach)

    def begin(self, model: keras.Model) -> None:
        """Lets the model train."""
        if self.optimizer is not model.optimizer:
            self.optimizer = model.optimizer
            model.test_function = None  # it may read the counter of the old one
        if isinstance(model.train_function, WithoutTeach):
            model.train_function = model.train_function.original
        self.teaching = True

    def end(self, model: keras.Model) -> None:
        """Lets nobody train the model by the last coefficients."""
        self.teaching = False
        if model.train_function is not None:
            model.train_function = WithoutTeach(model.train_function)

    def observe(self, step: int, limit: int, num_steps: int, observed: tf.Tensor) -> None:
        """Tells the loss what was measured before a step, and until which step it may be used."""
        with self.strategy.scope():
            # Set anew each time: a step that a loss scale skips is not counted by the optimizer.
            self._start.assign(self._iterations() - step)
            self._limit.assign(limit)
            self._num_steps.assign(num_steps)
            self._observed.assign(observed)
            self.reset_counts()

    def reset_counts(self) -> None:
        """Forgets how many examples were right since the last measurement."""
        with self.strategy.scope():
            self._counts.assign(tf.zeros([2]))
            self._batch.assign(tf.zeros([2]))

    def coefficients(self, teacher: LoadedTeacher) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Returns Φ_t, and whether what was measured is still in date."""
        step = self._iterations() - self._start
        progress = tf.cast(step, tf.float32) / self._num_steps
        state = state_vector(progress, tf.convert_to_tensor(self._observed))
        values = {name: value[0] for name, value in teacher(state[tf.newaxis]).items()}
        return values, step <= self._limit

    def count(self, outputs: tf.Tensor, targets: tf.Tensor) -> None:
        """Counts which predictions of a batch are right, if the model is trained on it.

        The model may be evaluated between two steps, where nobody asks a callback. Of the batches
        that the loss sees before one step of the optimizer, the last is that of the step.
        """
        right = tf.argmax(outputs, axis=-1, output_type=tf.int32) == targets
        counts = tf.math.count_nonzero(right), tf.size(right, tf.int64)
        self._counts.assign_add(self._last_trained())
        self._batch.assign(tf.cast(tf.stack(counts), tf.float32))
        self._batch_at.assign(self._iterations())

    def running_accuracy(self, dev_accuracy: tf.Tensor) -> tf.Tensor:
        """Returns the accuracy on the batches since the last measurement; on dev before any."""
        with self.strategy.scope():
            right, seen = tf.unstack(self._counts + self._last_trained())
        return tf.where(seen > 0, tf.math.divide_no_nan(right, seen), dev_accuracy)

    def _last_trained(self) -> tf.Tensor:
        """Returns the counts of the last batch; 0 where no step of the optimizer followed it."""
        trained = tf.convert_to_tensor(self._batch_at) != self._iterations()
        batch = tf.convert_to_tensor(self._batch)
        return tf.where(trained, batch, tf.zeros_like(batch))

    def _iterations(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.optimizer.iterations)


class WithoutTeach:
    """Stands where the compiled training function of a taught model is, while no `Teach` runs."""

    def __init__(self, original: Callable) -> None:
        self.original = original

    def __call__(self, *_: Any) -> None:
        raise ValueError(NO_TEACH)
