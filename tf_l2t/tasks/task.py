"""What a task is: data, student and measure of one problem, as pure functions."""

from __future__ import annotations

import abc
import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.decoding import TextTranslator
from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import CrossEntropy
from tf_l2t.score import ACCURACY, Score
from tf_l2t.students import Student, TranslationStudent
from tf_l2t.types import Batch, Nest, Outputs, StudentState, TranslationOutputs

TaskType = TypeVar("TaskType", bound="Task")


class Task(abc.ABC):
    """Everything that teaching needs to know of a problem; nothing here knows of a teacher.

    Attributes:
        student: the network as a function of its weights.
        score: what students are judged by.
        scores_in_graph: whether `scores` may be called within a `tf.function`.
        batch_size: examples of a training batch.
        num_dev_chunks: in how many chunks `dev_loss` goes through the dev data.
        class_names: of what the coefficients of a loss are for: classes, or words.
        feature_names: a name for each entry of a teacher's state vector.
        feature_definitions: what each of them is, in words.
        observed_examples: how many training and how many dev examples it is measured on.
    """

    student: Student | TranslationStudent
    score: ClassVar[Score] = ACCURACY
    scores_in_graph: ClassVar[bool] = True
    batch_size: int
    num_dev_chunks: int
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    feature_definitions: tuple[str, ...]
    observed_examples: int

    @abc.abstractmethod
    def check_jit_compile(self) -> None:
        """Raises ValueError if XLA would differentiate the student wrongly."""

    def initial(self, seed: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns a fresh student's weights and non-trainable variables."""
        return self.student.initial(seed)

    @abc.abstractmethod
    def context(self, segment: Segment, seed: int) -> Nest:
        """Returns what `batch` needs for the steps of a segment, for the student of a seed."""

    def check_teacher_task(self, teacher_task: Task) -> None:
        """Checks that a teacher may learn on another task for the students of this one.

        Raises:
            ValueError: if this task has no dev data that all students share, the other has other
                classes, or it reserves dev data of this one, but not all.
        """
        if self.own_split(0):
            raise ValueError("Experiment: task has resplit=True, which is for a teacher_task.")
        if teacher_task.class_names != self.class_names:
            raise ValueError("Experiment: teacher_task must have the classes that task has.")

    def context_of_student(self, context: Nest, state: StudentState) -> Nest:
        """Returns a segment's context with what its batches hold of the student's own making.

        Args:
            context: what `context` returned.
            state: of the student before the segment.
        """
        del state
        return context

    @abc.abstractmethod
    def batch(self, t: tf.Tensor, context: Nest, part: int = 0, num_parts: int = 1) -> Batch:
        """Returns the training batch of step t (int32 scalar), or a part of it."""

    @property
    def smallest_batch(self) -> int:
        """Examples that every training batch has at least."""
        return self.batch_size

    def whole_batch(self, examples: Batch) -> int | tf.Tensor:
        """Returns how many examples the training batch has that these are a part of."""
        del examples
        return self.batch_size

    def forward(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        batch: Batch,
        *,
        training: bool,
        seed: tf.Tensor | None = None,
    ) -> tuple[Outputs | TranslationOutputs, list[tf.Tensor], tf.Tensor]:
        """Runs the student: its outputs, new non-trainable variables and own penalties."""
        return self.student(weights, variables, batch.inputs, training=training, seed=seed)

    @property
    def likelihood(self) -> Loss:
        """The loss of a warm start: minus the log likelihood of the targets."""
        return CrossEntropy()

    def for_loss(self: TaskType, loss: Loss) -> TaskType:
        """Returns the task with batches that hold what a loss asks for; itself if they do."""
        del loss
        return self

    def coefficient_shapes(self, loss: Loss) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the coefficients that a teacher must set for a loss."""
        return loss.coefficient_shapes(len(self.class_names))

    def own_split(self, seed: int) -> tuple[Nest, ...]:
        """Returns what the methods below take last for the student of a seed.

        Nothing, (), where all students have the same training and dev data.
        """
        del seed
        return ()

    @abc.abstractmethod
    def dev_loss(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        chunk: tf.Tensor,
        *own_split: Nest,
    ) -> tf.Tensor:
        """Returns a chunk's part of minus the mean measure on the dev data, a scalar."""

    @abc.abstractmethod
    def observe(self, state: StudentState, *own_split: Nest) -> tf.Tensor:
        """Returns the entries of the state vector that follow t/T, float32 [|s| - 1]."""

    @abc.abstractmethod
    def scores(self, state: StudentState, split: str, *own_split: Nest) -> dict[str, tf.Tensor]:
        """Returns the scores of a student on "train", "dev" or "test", `score` among them."""

    def evaluate(self, state: StudentState, split: str, *own_split: Nest) -> dict[str, float]:
        """Returns the scores of a student as numbers."""
        scores = self.compiled_scores[split](state.weights, state.variables, *own_split)
        return {name: float(value) for name, value in scores.items()}

    @functools.cached_property
    def compiled_observe(self) -> Callable[..., tf.Tensor]:
        """`observe` as one `tf.function` of weights, variables and the student's own split."""
        # Partials, since TensorFlow counts traces by the code of a function.
        return tf.function(functools.partial(_observe, self))

    @functools.cached_property
    def compiled_scores(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """`scores` on each split as a `tf.function` of the same."""
        return {
            split: tf.function(functools.partial(_scores, self, split))
            for split in ("train", "dev", "test")
        }

    def trained_on(self, data: str, held_back: float = 0.0) -> Task:
        """Returns the task with other training data: what the dev data alone would give.

        Args:
            data: "dev" or "train and dev".
            held_back: part of the dev data, from 0, that is not trained on and stays the dev data;
                at 0 the students are trained on all of it, so that scores on it say nothing.

        Raises:
            ValueError: if the task cannot.
        """
        raise ValueError(
            f"{type(self).__name__}: a row with trained_on={data!r} is for classification; leave "
            "it 'train'."
        )

    def mean_probabilities(self, state: StudentState, split: str) -> np.ndarray:
        """Returns the mean probabilities that a student gives to the examples of each true class.

        Returns:
            [C, C], a row for each class; zeros where it has no example.

        Raises:
            ValueError: if the task has no classes.
        """
        raise ValueError(
            f"{type(self).__name__}: a loss that is estimated on dev is for classification."
        )

    @abc.abstractmethod
    def with_batches_of(self, batch_size: int) -> Task:
        """Returns the task with training batches of another size.

        Raises:
            ValueError: if there are not as many examples.
        """

    def _copy(self: TaskType) -> TaskType:
        """Returns a copy that shares no compiled function."""
        other = copy.copy(self)
        for name in ("compiled_observe", "compiled_scores"):
            other.__dict__.pop(name, None)
        return other

    @abc.abstractmethod
    def model(self, state: StudentState) -> keras.Model | TextTranslator:
        """Returns a trained student that reads the source's own inputs, to be exported."""

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns what results.json says of the data and the student."""


def _observe(
    task: Task, weights: list[tf.Tensor], variables: list[tf.Tensor], *own_split: Nest
) -> tf.Tensor:
    return task.observe(StudentState(weights, (), variables), *own_split)


def _scores(
    task: Task, split: str, weights: list[tf.Tensor], variables: list[tf.Tensor], *own_split: Nest
) -> dict[str, tf.Tensor]:
    return task.scores(StudentState(weights, (), variables), split, *own_split)
