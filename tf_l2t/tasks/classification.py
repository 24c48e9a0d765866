"""Image classification (L2T-DLF, section 4.1)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gin
import keras
import numpy as np
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.data import (
    Augmentation,
    BatchIndices,
    Corruption,
    Examples,
    Source,
    gather,
    normalisation,
    split,
)
from tf_l2t.data.permutations import permutation
from tf_l2t.data.stored_images import StoredImages, in_memory
from tf_l2t.differentiation.segments import Segment
from tf_l2t.measures import accuracy
from tf_l2t.measures.base import Measure
from tf_l2t.measures.log_probabilities import log_probabilities
from tf_l2t.students import Student
from tf_l2t.students.student import BuildModel
from tf_l2t.tasks.task import Task
from tf_l2t.teachers.state_features import (
    feature_definitions,
    feature_names,
    observation,
    precision_per_class,
)
from tf_l2t.types import Batch, Nest, Outputs, StudentState

# On one machine; of so many the order of the examples is kept at hand.
_STUDENTS_AT_ONCE = 16

# Far from the keys of dropout layers, which are folded into the same (seed, t).
_AUGMENTATION_STREAM = 0x61756700
_RESPLIT_STREAM = 4


@gin.register(module="tf_l2t")
class Classification(Task):
    """Images of C classes, a student that tells them apart, and a measure of how well.

    The dev data is taken out of the source's training images.

    Args:
        source: the images, for example `embedded_mnist()`.
        student: builds the Keras model, for example `lenet`.
        measure: differentiable score on dev, for example `ExpectedAccuracy()`.
        batch_size: examples of a training batch.
        dev_size: number of dev images or, below 1, their part of the training images.
        split_seed: of the split into training and dev images.
        reserved: number of the source's training images that take no part: those that are the dev
            images of a task with `dev_size=reserved`.
        resplit: whether every student has training and dev images of its own, drawn from its seed
            out of those of both: a teacher that learns from many students then cannot fit the
            images that it is judged by.
        corruption: what is wrong with the training data, such as `PairFlips()`; dev and test data
            stay as they are.
        observed_examples: how many training and how many dev images a state vector is measured on.
        chunk_size: dev and test examples that are evaluated, or differentiated, at a time.
        mean, std: of each channel, to normalise images by; not normalised if None. "train"
            measures them on the training examples that are left beside dev, before augmentation.
        augmentation: what is drawn anew for every training batch, such as `CropAndFlip()`, after
            normalisation; what is observed and evaluated stays as it is.

    Raises:
        ValueError: for a size that leaves no data, a mean or std that cannot be measured, or an
            augmentation that images of this size do not allow, before any work is done.
    """

    student: Student

    def __init__(
        self,
        source: Source,
        student: BuildModel,
        measure: Measure,
        *,
        batch_size: int = 64,
        dev_size: float = 5000,
        split_seed: int = 0,
        reserved: int = 0,
        resplit: bool = False,
        corruption: Corruption | None = None,
        observed_examples: int = 1000,
        chunk_size: int = 1000,
        mean: Sequence[float] | str | None = None,
        std: Sequence[float] | str | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        whole_number("Classification", "observed_examples", observed_examples, 1)
        whole_number("Classification", "chunk_size", chunk_size, 1)
        whole_number("Classification", "batch_size", batch_size, 1)
        self.source = source
        self.num_classes = source.num_classes
        self.class_names = source.class_names
        self.feature_names = feature_names(source.class_names)
        self.feature_definitions = feature_definitions(source.class_names)
        self.observed_examples = observed_examples
        self.student = Student(student, source.input_shape, source.num_classes)
        self.measure = measure
        self.batch_size = batch_size
        self._chunk_size = chunk_size
        self._split_seed, self._reserved, self._resplit = split_seed, reserved, resplit
        if resplit and corruption is not None:
            raise ValueError(
                "Classification: resplit=True would make dev images of those that the corruption "
                "spoils; leave it off where the dev images alone are clean."
            )
        self._augmentation = augmentation
        if augmentation is not None:
            augmentation.check(source.input_shape)
        clean = split(source, dev_size, split_seed, reserved)
        train, self._damage = _corrupted(clean.train, corruption, self.num_classes)
        self._mean, self._std = normalisation(train.images, mean, std)
        self._gather = functools.partial(gather, mean=self._mean, std=self._std)
        self._use(
            {
                name: examples.as_tensors()
                for name, examples in clean._replace(train=train)._asdict().items()
            }
        )

    def with_batches_of(self, batch_size: int) -> Classification:
        other = self._copy()
        other.batch_size = batch_size
        other._use(self._splits)
        return other

    def _use(self, splits: dict[str, Examples]) -> None:
        self._splits = splits
        BatchIndices(self.num_examples("train"), self.batch_size, seed=0)
        self._batches = functools.lru_cache(maxsize=_STUDENTS_AT_ONCE)(
            functools.partial(BatchIndices, self.num_examples("train"), self.batch_size)
        )
        self.num_dev_chunks = self._num_chunks("dev")
        self._pool = None
        if self._resplit:
            self._pool = splits["dev"].joined(splits["train"])
            count = len(self._pool.labels)
            self._order = functools.lru_cache(maxsize=_STUDENTS_AT_ONCE)(
                lambda seed: permutation(count, seed, _RESPLIT_STREAM)
            )
        seen = {
            name: self._splits[name].some(slice(self.observed_examples))
            for name in ("train", "dev")
        }
        # Measured before every segment: in memory, even where images are stored.
        self._observed = {
            name: Examples(in_memory(images), labels) for name, (images, labels) in seen.items()
        }

    def check_teacher_task(self, teacher_task: Task) -> None:
        super().check_teacher_task(teacher_task)
        assert isinstance(teacher_task, Classification)
        reserved, needed = teacher_task._reserved, self._reserved + self.num_examples("dev")
        if not reserved or teacher_task.source.digest != self.source.digest:
            return
        if reserved < needed or teacher_task._split_seed != self._split_seed:
            raise ValueError(
                f"Experiment: teacher_task has reserved={reserved} and split_seed="
                f"{teacher_task._split_seed}, and task has {needed} reserved and dev images of "
                f"split_seed={self._split_seed}, some of which the teacher would learn from; "
                "reserve as many, of the same split."
            )

    def trained_on(self, data: str, held_back: float = 0.0) -> Classification:
        if self._resplit:
            raise ValueError(
                "Classification: resplit=True is for a teacher_task; a row with trained_on="
                f"{data!r} needs dev images that all students share."
            )
        count = self.num_examples("dev")
        held = round(held_back * count)
        if (held_back and not held) or count - held < self.batch_size:
            raise ValueError(
                f"Classification: dev_size={count} is too little to train on {data!r} with "
                f"batch_size={self.batch_size} and {held_back:.0%} held back; take more dev images."
            )
        dev = self._splits["dev"]
        rest = dev.some(slice(held, None))
        train = rest if data == "dev" else self._splits["train"].joined(rest)
        other = self._copy()
        kept = dev.some(slice(held)) if held else dev
        other._use({**self._splits, "train": train, "dev": kept})
        return other

    def mean_probabilities(self, state: StudentState, split: str) -> np.ndarray:
        def by_class(outputs: Outputs, targets: tf.Tensor) -> tf.Tensor:
            p = tf.nn.softmax(outputs.logits)
            return tf.one_hot(targets, self.num_classes, dtype=p.dtype)[..., None] * p[:, None]

        total = tf.zeros([self.num_classes, self.num_classes], state.weights[0].dtype)
        for chunk in range(self._num_chunks(split)):
            total += self._chunk_mean(by_class, state, split, chunk)
        sizes = tf.reduce_sum(total, axis=1, keepdims=True)
        return tf.math.divide_no_nan(total, sizes).numpy()

    def num_examples(self, split: str) -> int:
        """Returns the number of examples of "train", "dev" or "test"."""
        return int(self._splits[split].labels.shape[0])

    def check_jit_compile(self) -> None:
        if isinstance(self.source.train_images, StoredImages):
            raise ValueError(
                "jit_compile=True compiles the reading of batches too, and XLA cannot read the "
                f"files of {self.source.name!r}; hold the images in memory (tfds_images), or leave "
                "jit_compile off."
            )
        pooling = self.student.max_pooling_layers()
        if pooling:
            raise ValueError(
                f"jit_compile=True gives a wrong second derivative of max pooling, and the student "
                f"{self.student.model.name!r} has the layers {pooling}; bind lenet.xla_pooling = "
                "True, use tf_l2t.students.BlockMaxPooling2D in your own student, or leave "
                "jit_compile off."
            )

    def context(self, segment: Segment, seed: int) -> Nest:
        rows = self._batches(seed).rows(segment.start, segment.length)
        if self._resplit:
            rows = self._order(seed)[self.num_examples("dev") :][rows]
        first = tf.constant(segment.start)
        return {"rows": tf.constant(rows), "first": first, "seed": tf.constant(seed, tf.int32)}

    def batch(self, t: tf.Tensor, context: Nest, part: int = 0, num_parts: int = 1) -> Batch:
        start, stop = (self.batch_size * k // num_parts for k in (part, part + 1))
        rows = context["rows"][t - context["first"]]
        batch = self._gather(
            self._pool or self._splits["train"], rows[start:stop] if num_parts > 1 else rows
        )
        if self._augmentation is None:
            return batch
        seed = tf.random.experimental.stateless_fold_in(
            tf.stack([context["seed"], tf.cast(t, tf.int32)]), _AUGMENTATION_STREAM
        )
        draws = self._augmentation.draw(seed, self.batch_size)
        draws = tf.nest.map_structure(lambda drawn: drawn[start:stop], draws)
        return batch._replace(inputs=self._augmentation(batch.inputs, draws))

    def own_split(self, seed: int) -> tuple[Nest, ...]:
        return (tf.constant(self._order(seed)),) if self._resplit else ()

    def dev_loss(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        chunk: tf.Tensor,
        *own_split: Nest,
    ) -> tf.Tensor:
        state = StudentState(weights, (), variables)
        return -self._chunk_mean(self.measure, state, "dev", chunk, *own_split)

    def observe(self, state: StudentState, *own_split: Nest) -> tf.Tensor:
        observed = self._observed
        if own_split:
            assert self._pool is not None
            (order,), dev = own_split, self.num_examples("dev")
            rows = {"dev": order[:dev], "train": order[dev:]}
            observed = {
                name: self._pool.taken(own[: self.observed_examples]) for name, own in rows.items()
            }
        return self._observation(state, observed)

    def scores(self, state: StudentState, split: str, *own_split: Nest) -> dict[str, tf.Tensor]:
        def scores(outputs: Outputs, targets: tf.Tensor) -> tf.Tensor:
            right = accuracy(outputs.logits, targets)
            log_p = log_probabilities(outputs.logits)
            cross_entropy = -tf.gather(log_p, targets, batch_dims=1)
            return tf.stack([right, cross_entropy, self.measure(outputs, targets)], axis=-1)

        total = tf.zeros([3], state.weights[0].dtype)
        for chunk in tf.range(self._num_chunks(split)):
            total += self._chunk_mean(scores, state, split, chunk, *own_split)
        return dict(zip(("accuracy", "cross_entropy", "measure"), tf.unstack(total), strict=True))

    def model(self, state: StudentState) -> keras.Model:
        """Returns the student with its normalisation before it: images as in the source -> logits.

        Returns:
            A Keras model: [batch, height, width, channels], uint8 in 0..255 or float as the
            source has them -> logits [batch, classes].
        """
        images = self.source.train_images
        whole = keras.Input(images.shape[1:], dtype=images.dtype.name, name="images")
        inputs = keras.layers.Rescaling(1 / 255 if images.dtype == np.uint8 else 1.0)(whole)
        scale = 1 / np.asarray(self._std if self._std is not None else 1.0)
        offset = -np.asarray(self._mean if self._mean is not None else 0.0) * scale
        inputs = keras.layers.Rescaling(scale.tolist(), offset.tolist())(inputs)
        student = self.student.model_with(state.weights, state.variables)
        return keras.Model(whole, student(inputs), name=student.name)

    def describe(self) -> dict[str, Any]:
        return {
            "source": self.source.name,
            "data_sha256": self.source.digest,
            "class_names": list(self.source.class_names),
            "examples": {name: self.num_examples(name) for name in self._splits},
            "student": self.student.model.name,
            "student_weights": self.student.num_weights,
            "batch_size": self.batch_size,
            "measure": type(self.measure).__name__,
            **({"reserved": self._reserved} if self._reserved else {}),
            **({"resplit": True} if self._resplit else {}),
            **({"corruption": self._damage} if self._damage else {}),
            **({"mean": list(self._mean)} if self._mean is not None else {}),
            **({"std": list(self._std)} if self._std is not None else {}),
            **({"augmentation": self._augmentation.describe()} if self._augmentation else {}),
        }

    def _observation(self, state: StudentState, observed: dict[str, Examples]) -> tf.Tensor:
        predictions = {
            name: self._predictions(state.weights, state.variables, examples)
            for name, examples in observed.items()
        }
        right = {
            name: tf.reduce_mean(tf.cast(predictions[name] == examples.labels, tf.float32))
            for name, examples in observed.items()
        }
        precision = precision_per_class(
            predictions["dev"], observed["dev"].labels, self.num_classes
        )
        return observation(right["train"], right["dev"], precision)

    def _predictions(
        self, weights: list[tf.Tensor], variables: list[tf.Tensor], examples: Examples
    ) -> tf.Tensor:
        outputs, _, _ = self.student(
            weights,
            variables,
            self._gather(examples, tf.range(examples.labels.shape[0])).inputs,
            training=False,
        )
        return tf.argmax(outputs.logits, axis=-1, output_type=tf.int32)

    def _num_chunks(self, split: str) -> int:
        count = self.num_examples(split)
        return -(-count // min(self._chunk_size, count))

    def _chunk_mean(
        self,
        score: Callable[[Outputs, tf.Tensor], tf.Tensor],
        state: StudentState,
        split: str,
        chunk: tf.Tensor,
        *own_split: Nest,
    ) -> tf.Tensor:
        # Every chunk has the same shape, which XLA needs; the last one counts no example twice.
        count = self.num_examples(split)
        size = min(self._chunk_size, count)
        rows = chunk * size + tf.range(size)
        counted, rows = rows < count, tf.minimum(rows, count - 1)
        examples = self._splits[split]
        if own_split and split != "test":
            assert self._pool is not None
            (order,), examples = own_split, self._pool
            rows = tf.gather(order, rows + (self.num_examples("dev") if split == "train" else 0))
        batch = self._gather(examples, rows)
        outputs, _, _ = self.student(state.weights, state.variables, batch.inputs, training=False)
        values = score(outputs, batch.targets)
        return tf.einsum("n,n...->...", tf.cast(counted, values.dtype), values) / count


def _corrupted(
    clean: Examples, corruption: Corruption | None, num_classes: int
) -> tuple[Examples, dict[str, Any]]:
    """Returns the spoiled training data, and what results.json says of the damage."""
    if corruption is None:
        return clean, {}
    rows, labels = corruption(clean.labels, num_classes)
    true = clean.labels[rows]
    counts = np.zeros((num_classes, num_classes), int)
    np.add.at(counts, (true, labels), 1)
    damage = {
        **corruption.describe(),
        "examples_of_class": counts.sum(axis=1).tolist(),
        "wrong_labels": float(np.mean(true != labels)),
        # Row: true class; column: the label that it was given.
        "labels_of_class": (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        .round(6)
        .tolist(),
    }
    return Examples(clean.images[rows], labels), damage
