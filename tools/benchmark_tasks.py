"""The tasks of benchmark.py: classification and translation, less what is not to be timed."""

from __future__ import annotations

import abc
import argparse
from typing import Any

import keras
import tensorflow as tf
from benchmark_options import SOURCES, builder, translators
from benchmark_text import text_and_vocabularies
from keras_fit import FitData, ImageBatches, SentenceBatches

from tf_l2t.data import CropAndFlip, split
from tf_l2t.losses import DynamicBilinear, DynamicDiagonal, PerToken
from tf_l2t.losses.base import Loss
from tf_l2t.measures import ExpectedAccuracy, TranslationLogLikelihood
from tf_l2t.students.translator import BuildTranslator
from tf_l2t.tasks import Classification, Translation
from tf_l2t.tasks.task import Task
from tf_l2t.teachers import attention_teacher
from tf_l2t.types import StudentState


class BenchmarkTask(Task):
    """What a task needs to be measured; it stands before another task among the bases.

    All students are the same one, and its state is observed once only, unless --observe.

    Attributes:
        taught_loss: what the student of a teacher step minimises.
    """

    taught_loss: Loss

    def measure_only(self, args: argparse.Namespace) -> None:
        """Makes the student, and what is observed of it, once and for all."""
        self._first = super().initial(args.seed)
        observe = tf.function(super().observe)
        self._observed_once = observe(StudentState(self._first[0], (), self._first[1]))
        self._refreshes = args.observe

    def initial(self, seed: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        del seed
        return self._first

    def observe(self, state: StudentState, *own_split: tf.Tensor) -> tf.Tensor:
        return super().observe(state, *own_split) if self._refreshes else self._observed_once

    def forget_batches(self) -> None:
        """Forgets the orders of batches that were drawn, so that they are drawn anew."""
        self._batches.cache_clear()

    @abc.abstractmethod
    def teacher(self, seed: int) -> keras.Model:
        """Returns the teacher of the paper for this problem."""

    @abc.abstractmethod
    def fit_data(self) -> FitData:
        """Returns the training data for `keras.Model.fit`."""

    @abc.abstractmethod
    def data(self) -> str:
        """Returns what the data is, in words."""


class BenchmarkClassification(BenchmarkTask, Classification):
    """Classification by the student of the options, with the bilinear loss.

    Args:
        args: the options.

    Raises:
        ValueError, TypeError, DatasetUnavailableError: for options that do not fit.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(
            SOURCES[args.data](),
            builder(args.student, args.jit_compile, args.student_settings),
            ExpectedAccuracy(),
            batch_size=args.batch,
            dev_size=args.dev_examples,
            split_seed=args.seed,
            augmentation=CropAndFlip() if args.augment else None,
        )
        self.taught_loss = DynamicBilinear()
        self._split = args.dev_examples, args.seed
        self.measure_only(args)

    def teacher(self, seed: int) -> keras.Model:
        shapes = self.coefficient_shapes(self.taught_loss)
        return attention_teacher(shapes, len(self.feature_names), seed=seed)

    def fit_data(self) -> FitData:
        train = split(self.source, *self._split).train
        return ImageBatches(train.images, train.labels, self.batch_size)

    def data(self) -> str:
        return f"{self.source.name}, {self.num_examples('train'):,} training examples"


class BenchmarkTranslation(BenchmarkTask, Translation):
    """Translation by the student of the options, with a taught weight for every word.

    Args:
        args: the options.

    Raises:
        ValueError, TypeError: for options that do not fit.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        text, vocabularies = text_and_vocabularies(
            args.text, args.vocabulary, args.dev_examples, args.seed
        )
        student: BuildTranslator = builder(args.student, args.jit_compile, args.student_settings)
        super().__init__(
            text,
            vocabularies,
            student,
            TranslationLogLikelihood(),
            batch_size=args.batch,
            measured_examples=args.dev_examples,
        )
        self.taught_loss = PerToken(DynamicDiagonal())
        self.measure_only(args)

    def teacher(self, seed: int) -> keras.Model:
        shapes = self.coefficient_shapes(self.taught_loss)
        return attention_teacher(shapes, len(self.feature_names), num_keys=5, seed=seed)

    def fit_data(self) -> FitData:
        return SentenceBatches(
            self._splits["train"].gather,
            lambda seed, steps: self._batches(seed=seed).rows(0, steps),
        )

    def data(self) -> str:
        source, target = self._corpus.lengths["train"].mean(0)
        sizes = " and ".join(f"{encoder.size:,}" for encoder in self._encoders)
        return (
            f"{self._corpus.text.name}, {self.num_examples('train'):,} training pairs of "
            f"{source:.1f} and {target:.1f} words on average, vocabularies of {sizes}"
        )


def make_task(args: argparse.Namespace) -> Any:
    """Returns the `BenchmarkTask` of the options."""
    return (BenchmarkTranslation if args.student in translators() else BenchmarkClassification)(
        args
    )
