"""A taught loss for `model.compile`, and the callback that shows the model to the teacher."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.keras_lesson import NO_TEACH, KerasLesson
from tf_l2t.keras_state import Observer, class_indices, first_examples
from tf_l2t.losses import PerToken
from tf_l2t.runtime.loaded_teacher import LoadedTeacher, load_teacher
from tf_l2t.runtime.teacher_record import TeacherError
from tf_l2t.types import Outputs


@keras.saving.register_keras_serializable(package="tf_l2t")
class TaughtLoss(keras.losses.Loss):
    """The loss of a trained teacher, for `model.compile`; `Teach` in `fit` lets it see the model.

        l_t(p, y) = l_Φ(p, y),    Φ = μ_θ(t/T, what was last measured of the model)

    t comes from the optimizer's own counter, so that Φ changes with every step and no Python runs
    for it. After `fit`, `evaluate` reports the loss with the last coefficients. A saved model
    keeps the teacher's path and digest, not the teacher. A label that is no class is an error, or,
    where XLA compiles the step, makes the loss NaN.

    Args:
        teacher: a `LoadedTeacher`, or the path of one.
        from_logits: whether the model returns logits; False for probabilities.
        reduction: see `keras.losses.Loss`.
        name: see `keras.losses.Loss`.

    Raises:
        TeacherError: (a ValueError) if the teacher cannot be loaded, or is for translation.
        ValueError: when called, if the model is for other classes or no `Teach` is there.

    Example:
        >>> teacher = tf_l2t.load_teacher("runs/lenet_mnist/teacher")
        >>> model.compile(optimizer=keras.optimizers.SGD(1.0), loss=tf_l2t.TaughtLoss(teacher))
        >>> model.fit(x, y, callbacks=[tf_l2t.Teach(teacher, (x_dev, y_dev))])

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.1.
    """

    def __init__(
        self,
        teacher: LoadedTeacher | str | os.PathLike[str],
        from_logits: bool = True,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "taught_loss",
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        self.teacher = _loaded(teacher)
        self.from_logits = from_logits
        self.lesson: KerasLesson | None = None

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of every example, [batch]."""
        self._check_shape(y_pred)
        indices = class_indices(y_true, self.teacher.num_classes)
        valid = indices >= 0
        targets = tf.maximum(indices, 0)
        if _is_symbolic():  # Keras builds the model, before Teach is called for the first time.
            return tf.zeros_like(y_pred[:, 0])
        lesson = self._running_lesson()
        classes = self.teacher.num_classes
        message = f"TaughtLoss: labels must be from 0 to {classes - 1}, or one-hot rows; got"
        if self.from_logits:
            logits = y_pred
        else:
            # The smallest normal number: log 0 has no derivative.
            logits = tf.math.log(tf.maximum(y_pred, np.finfo(y_pred.dtype.as_numpy_dtype).tiny))
        coefficients, in_time = lesson.coefficients(self.teacher)
        losses = self.teacher.loss(Outputs(logits), targets, coefficients)
        lesson.count(y_pred, targets)
        checks = [
            tf.debugging.Assert(tf.reduce_all(valid), [message, y_true]),
            tf.debugging.Assert(in_time, [NO_TEACH]),
        ]
        # A product, so that the gradient waits for the checks, and is NaN under XLA, which leaves
        # them out: what is wrong must not train on.
        with tf.control_dependencies(checks):
            return losses * tf.where(valid & in_time, tf.ones_like(losses), np.nan)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, the teacher as its path and digest."""
        return {
            **super().get_config(),
            "teacher": str(self.teacher.path),
            "digest": self.teacher.digest,
            "from_logits": self.from_logits,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TaughtLoss:
        """Makes the loss again.

        Raises:
            TeacherError: if the teacher is not there any more, or is another.
        """
        config = dict(config)
        digest = config.pop("digest")
        remedy = (
            "load the model with compile=False and compile it with tf_l2t.TaughtLoss(PATH) of the "
            "teacher that you have"
        )
        try:
            teacher = load_teacher(config.pop("teacher"))
        except TeacherError as error:
            raise TeacherError(f"the model's teacher cannot be loaded: {error} Or {remedy}.") from (
                error
            )
        if teacher.digest != digest:
            raise TeacherError(
                f"the teacher {teacher.path} has changed since the model was saved; bring the old "
                f"one back, or {remedy}."
            )
        return cls(teacher, **config)

    def _check_shape(self, outputs: tf.Tensor) -> None:
        classes = self.teacher.num_classes
        if outputs.shape.rank != 2 or outputs.shape[1] != classes:
            raise ValueError(
                f"TaughtLoss: the model must return [batch, {classes}], the classes of the teacher "
                f"{self.teacher.path}, got {outputs.shape}; give its last layer {classes} units, "
                "or load a teacher for its classes."
            )

    def _running_lesson(self) -> KerasLesson:
        if self.lesson is None or not self.lesson.is_known():
            raise ValueError(NO_TEACH)
        return self.lesson


class Teach(keras.callbacks.Callback):
    """Shows a model to its teacher while `fit` trains it with a `TaughtLoss`.

    Every `observe_every` steps it measures the accuracy on training and dev data and the dev
    precision of each class, in one compiled function, and hands them to the loss. T is epochs ×
    steps of an epoch, and `warm_start_steps`; `initial_epoch` is where t begins.

    Args:
        teacher: the one that the loss has, or its path.
        dev_data: (inputs, labels) or a batched dataset; the first `observed_examples` are used.
        training_data: the same of training data. None to count instead how many predictions were
            right, as the student was trained on them, since the last measurement; the dev accuracy
            stands in before the first batch.
        num_steps: T, where `fit` cannot tell how long an epoch is, or is called several times.
        observe_every: training steps between two measurements, if not those of the teacher.
        observed_examples: at most, of each kind; if not those of the teacher.
        batch_size: examples that the model sees at a time while it is measured.
        warm_start_steps: how many steps the model was trained on cross entropy before this `fit`;
            t begins there. A teacher whose students had a warm start asks for it: compile the
            model with cross entropy and fit it for about such a part of T, then compile it with
            the `TaughtLoss`. 0 goes without.

    Raises:
        ValueError: for anything that cannot work, as early as it can be seen.

    Example: see `TaughtLoss`.

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.1.
    """

    def __init__(
        self,
        teacher: LoadedTeacher | str | os.PathLike[str],
        dev_data: Any,
        training_data: Any = None,
        *,
        num_steps: int | None = None,
        observe_every: int | None = None,
        observed_examples: int | None = None,
        batch_size: int = 1000,
        warm_start_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.teacher = _loaded(teacher)
        self._warm_start_steps = _checked_warm_start(self.teacher, warm_start_steps)
        if num_steps is not None:
            whole_number("Teach", "num_steps", num_steps, 1)
        self._given_num_steps = num_steps
        self._observe_every = self.teacher.observe_every if observe_every is None else observe_every
        whole_number("Teach", "observe_every", self._observe_every, 1)
        count = self.teacher.observed_examples if observed_examples is None else observed_examples
        whole_number("Teach", "observed_examples", count, 1)
        self._batch_size = whole_number("Teach", "batch_size", batch_size, 1)
        classes = self.teacher.num_classes
        self._dev = first_examples("dev_data", dev_data, count, classes)
        self._training = (
            None
            if training_data is None
            else first_examples("training_data", training_data, count, classes)
        )
        self._lesson: KerasLesson | None = None
        self._optimizer: keras.optimizers.Optimizer | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks that everything fits, and lets the loss use the teacher."""
        del logs
        loss = self._checked_loss()
        self._num_steps = self._planned_steps()
        lesson = self._lesson_for(loss)
        # What measures is compiled with the optimizer's counter.
        if lesson is not self._lesson or self._optimizer is not self.model.optimizer:
            self._optimizer = self.model.optimizer
            self._observer = Observer(
                self.model,
                self.teacher.num_classes,
                self._dev,
                self._training,
                self._batch_size,
                lesson.running_accuracy,
            )
        _check_outputs(self._observer.outputs(), loss)
        loss.lesson = self._lesson = lesson
        self._first_epoch = True
        lesson.begin(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Finds where t is."""
        del logs
        assert self._lesson is not None
        steps = self.params.get("steps")
        if self._first_epoch:
            if epoch and steps is None:
                raise ValueError(
                    f"Teach: initial_epoch={epoch} needs an epoch of known length; pass "
                    "steps_per_epoch to fit."
                )
            self._step = self._next = self._warm_start_steps + epoch * (steps or 0)
            self._first_epoch = False
            if epoch == 0:  # What another training left is of other weights.
                self._lesson.reset_counts()
        self._epoch_start = self._warm_start_steps + epoch * steps if steps else self._step

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures the model, where it is time to."""
        # Keras begins a batch too where the data turns out to be at its end.
        if self._next <= self._step < self._num_steps:
            self._observe()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the steps."""
        before, steps = self._step, self.params.get("steps")
        # Of a last execution that has fewer steps Keras tells where a whole one would end.
        done = batch + 1 if steps is None else min(batch + 1, steps)
        self._step = self._epoch_start + done
        if before >= self._num_steps:
            raise ValueError(
                f"Teach: fit goes on after num_steps={self._num_steps} steps, for which the "
                "teacher has no state; give num_steps the whole length of the training."
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the teacher away from the model."""
        assert self._lesson is not None
        self._lesson.end(self.model)

    def _observe(self) -> None:
        assert self._lesson is not None
        step, num_steps = self._step, self._num_steps
        since = (step - self._warm_start_steps) % self._observe_every
        self._next = min(step - since + self._observe_every, num_steps)
        self._lesson.observe(step, self._next, num_steps, self._observer.observe())

    def _lesson_for(self, loss: TaughtLoss) -> KerasLesson:
        """Returns the lesson of this model, the old one where it was taught before."""
        lesson = loss.lesson
        taught = None if lesson is None else lesson.model()
        if taught is not None and taught is not self.model:
            raise ValueError(
                "Teach: the model's TaughtLoss teaches another model already; give each model a "
                "TaughtLoss of its own."
            )
        if lesson is not None and taught is self.model:
            return lesson
        return KerasLesson(self.model, len(self.teacher.feature_names) - 1)

    def _checked_loss(self) -> TaughtLoss:
        loss = getattr(self.model, "loss", None)
        if not isinstance(loss, TaughtLoss):
            raise ValueError(
                f"Teach: the model's loss must be a tf_l2t.TaughtLoss, got {loss!r}; compile it "
                "with loss=tf_l2t.TaughtLoss(teacher), for its one output."
            )
        if loss.teacher.digest != self.teacher.digest:
            raise ValueError(
                f"Teach: the teacher is {self.teacher.path}, and that of the model's loss "
                f"{loss.teacher.path}; give both the same."
            )
        accumulated = self.model.optimizer.gradient_accumulation_steps
        inner = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        accumulated = accumulated or inner.gradient_accumulation_steps
        if accumulated:
            raise ValueError(
                f"Teach: gradient_accumulation_steps={accumulated} of the optimizer is not "
                "supported, since t counts updates; train with larger batches instead."
            )
        return loss

    def _planned_steps(self) -> int:
        """Returns T."""
        steps, epochs = self.params.get("steps"), self.params.get("epochs", 1)
        at_a_time = self.model.steps_per_execution
        if at_a_time > 1:
            self._check_steps_per_execution(at_a_time, steps, epochs)
        if steps is None and self._given_num_steps is None:
            raise ValueError(
                "Teach: the length of an epoch is not known, and t/T needs it; pass num_steps= to "
                "Teach, or steps_per_epoch= to fit."
            )
        taken = self._warm_start_steps + epochs * (steps or 0)
        planned = self._given_num_steps or taken
        if taken > planned:
            raise ValueError(
                f"Teach: num_steps must be at least the {taken} steps of fit and warm start, got "
                f"{planned}; leave it out, or give the whole length of the training."
            )
        return planned

    def _check_steps_per_execution(self, at_a_time: int, steps: int | None, epochs: int) -> None:
        if self._observe_every % at_a_time:
            raise ValueError(
                f"Teach: steps_per_execution={at_a_time} must divide observe_every="
                f"{self._observe_every}, since the model is measured between two executions; "
                "compile with another steps_per_execution."
            )
        if epochs > 1 and (steps is None or steps % at_a_time):
            raise ValueError(
                f"Teach: steps_per_execution={at_a_time} must divide the steps of an epoch, got "
                f"{steps}; pass steps_per_epoch to fit, or compile with steps_per_execution=1."
            )


def _loaded(teacher: LoadedTeacher | str | os.PathLike[str]) -> LoadedTeacher:
    loaded = teacher if isinstance(teacher, LoadedTeacher) else load_teacher(teacher)
    if isinstance(loaded.loss, PerToken):
        raise TeacherError(
            f"the teacher {loaded.path} is for students that translate, and model.fit teaches "
            "classifiers; teach with python -m tf_l2t.teach, or take a teacher of classes."
        )
    return loaded


def _checked_warm_start(teacher: LoadedTeacher, given: int | None) -> int:
    """Returns the steps of the warm start, which a teacher that learned after one asks for."""
    if given is not None:
        return whole_number("Teach", "warm_start_steps", given, 0)
    if teacher.warm_start_steps:
        budget = teacher.metadata["budget"]
        raise ValueError(
            f"Teach: the students of the teacher {teacher.path} were on cross entropy for the "
            f"first {teacher.warm_start_steps} of {budget['num_steps']} steps. Compile the model "
            "with cross entropy and fit it for about such a part of its training, then compile it "
            "with tf_l2t.TaughtLoss and say in warm_start_steps how many steps these were; "
            "warm_start_steps=0 goes without."
        )
    return 0


def _is_symbolic() -> bool:
    with keras.SymbolicScope() as scope:
        return scope.original_scope is not None


def _check_outputs(outputs: np.ndarray, loss: TaughtLoss) -> None:
    """Raises ValueError where logits and probabilities were taken for each other."""
    values = outputs.astype("float64")
    sums = np.abs(values.sum(axis=-1) - 1) < 1e-2
    are_probabilities = bool(np.all(sums) and np.all(values >= 0))
    if are_probabilities and loss.from_logits:
        raise ValueError(
            "Teach: the model returns probabilities, and its TaughtLoss reads logits "
            "(from_logits=True); remove the softmax of the last layer, or pass from_logits=False."
        )
    if not (are_probabilities or loss.from_logits):
        raise ValueError(
            "Teach: the model does not return probabilities, and its TaughtLoss reads them "
            "(from_logits=False); end the model in a softmax, or pass from_logits=True."
        )
