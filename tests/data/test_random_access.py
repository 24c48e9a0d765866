"""Images read by random access are those in memory, batch by batch and through a teacher step."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_l2t.data import (
    CropAndFlip,
    DatasetUnavailableError,
    PairFlips,
    StoredImages,
    channel_statistics,
    tfds_images,
    tfds_random_access,
)
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.segments import Segment
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.rollout import Budget, Teaching

STATE = [[tf.random.stateless_normal([48, 3], [1, 2]), tf.zeros([3])], []]


class StoredColours(tfds.core.GeneratorBasedBuilder):
    """Photographs of three classes, compressed with loss."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "label": tfds.features.ClassLabel(names=["red", "green", "blue"]),
            "image": tfds.features.Image(shape=(4, 4, 3), encoding_format="jpeg"),
            "comment": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(90), "test": self._generate_examples(25)}

    def _generate_examples(self, count):
        images = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3))
        for k, image in enumerate(images.astype(np.uint8)):
            yield k, {"label": k % 3, "image": image, "comment": f"the {k}th"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders: one with TFRecord files, the other with ArrayRecord files, which it makes."""
    return tmp_path_factory.mktemp("records"), tmp_path_factory.mktemp("array_records")


@pytest.fixture(scope="module")
def sources(folders):
    in_memory = tfds_images("stored_colours", folders[0])
    return in_memory, tfds_random_access("stored_colours", folders[1])


def both(sources, **settings):
    """Returns a task on the images in memory, and one on the stored ones."""
    settings = {"batch_size": 8, "dev_size": 30, "chunk_size": 9, "observed_examples": 7} | settings
    return [
        Classification(source, logistic_regression, ExpectedAccuracy(), **settings)
        for source in sources
    ]


def same(one, other) -> None:
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_source_is_that_in_memory(sources, folders):
    held, stored = sources
    assert isinstance(stored.train_images, StoredImages)
    assert list(folders[1].rglob("*.array_record*"))
    assert stored.train_images.shape == held.train_images.shape == (90, 4, 4, 3)
    assert stored.train_images.dtype == np.uint8
    assert (stored.name, stored.class_names) == (held.name, held.class_names)
    same(stored.train_labels, held.train_labels)
    same(stored.test_labels, held.test_labels)
    rows = np.array([5, 88, 5, 0])
    same(stored.train_images.take(tf.constant(rows)), held.train_images[rows])
    part = stored.train_images[10:70][np.array([3, 1])].joined(stored.train_images[80:])
    same(part.take(tf.range(12)), held.train_images[[13, 11, *range(80, 90)]])
    assert channel_statistics(part) == channel_statistics(
        held.train_images[[13, 11, *range(80, 90)]]
    )
    assert len(part) == 12
    again = tfds_random_access("stored_colours", folders[1])
    assert again.digest == stored.digest != held.digest


@pytest.mark.parametrize(
    "settings",
    [
        {"mean": "train", "std": "train", "augmentation": CropAndFlip(padding=1), "reserved": 10},
        {"corruption": PairFlips(pairs=((0, 1), (1, 2)), rate=0.5)},
        {"resplit": True},
    ],
    ids=["normalised and augmented", "wrong labels", "own splits"],
)
def test_every_batch_and_every_score_is_the_same(sources, settings):
    held, stored = both(sources, **settings)
    without_digest = lambda task: {**task.describe(), "data_sha256": ""}
    assert without_digest(held) == without_digest(stored)
    for start, seed in ((0, 1), (13, 1), (4, 7)):
        contexts = [task.context(Segment(start, 9), seed) for task in (held, stored)]
        for t in (start, start + 8):
            same(held.batch(tf.constant(t), contexts[0]), stored.batch(tf.constant(t), contexts[1]))
    own = [task.own_split(3) for task in (held, stored)]
    same(*(task.compiled_observe(*STATE, *own[k]) for k, task in enumerate((held, stored))))
    for split in ("train", "dev", "test"):
        same(
            *(task.compiled_scores[split](*STATE, *own[k]) for k, task in enumerate((held, stored)))
        )


def test_other_training_data(sources):
    for data, held_back in (("dev", 0.4), ("train and dev", 0.0)):
        tasks = [task.trained_on(data, held_back) for task in both(sources)]
        same(*(task.batch(tf.constant(2), task.context(Segment(0, 4), 1)) for task in tasks))
        same(*(task.compiled_scores["dev"](*STATE) for task in tasks))


def hypergradient(task: Classification, storage: str) -> list:
    loss = DynamicBilinear()
    teacher = attention_teacher(task.coefficient_shapes(loss), len(task.feature_names))
    teaching = Teaching(
        task, loss, SGD(0.5, momentum=0.9), Budget(12, observe_every=5), teacher, storage=storage
    )
    theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    lesson = teaching.roll_out(theta, 3, record=True)
    outer = OuterGradient(task.dev_loss, task.num_dev_chunks)
    ((value, adjoint),) = teaching.differentiate_each([lesson], outer)
    (result,) = teaching.reverse_each([lesson], theta, [adjoint])
    return [value, lesson.rollout.state, lesson.training_loss, result.gradients]


def test_a_teacher_step_is_the_same(sources):
    held, stored = both(sources)
    same(hypergradient(held, "memory"), hypergradient(stored, "recompute"))


def test_xla_cannot_read(sources):
    held, stored = both(sources)
    held.check_jit_compile()
    with pytest.raises(ValueError, match="jit_compile=True .* 'stored_colours'.*tfds_images"):
        stored.check_jit_compile()


def refused(data_dir) -> str:
    with pytest.raises(DatasetUnavailableError) as caught:
        tfds_random_access("stored_colours", data_dir)
    return str(caught.value)


def test_files_without_random_access(sources, folders):
    message = refused(folders[0])
    assert "is prepared in files without random access: convert it (tfds convert_format" in message
    assert str(folders[0]) in message


def test_damaged_files(tmp_path):
    tfds_random_access("stored_colours", tmp_path)
    path = next(pathlib.Path(tmp_path).rglob("*test.array_record*"))
    path.write_bytes(b"damaged")
    assert "has a split test that cannot be read" in refused(tmp_path)


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "without the package array_record: install it" in refused(tmp_path)
