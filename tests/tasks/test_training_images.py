"""Normalisation by the training examples, and augmentation that replays and splits."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import CropAndFlip, LongTail, arrays
from tf_l2t.differentiation.segments import Segment
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.types import StudentState


@pytest.fixture(scope="module")
def source():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (130, 5, 4, 2)).astype("uint8")
    images[..., 1] //= 3
    labels = random.integers(0, 3, 130)
    return arrays(images[:100], labels[:100], images[100:], labels[100:])


def make_task(source, **arguments) -> Classification:
    arguments = {"batch_size": 7, "dev_size": 25, **arguments}
    return Classification(source, logistic_regression, ExpectedAccuracy(), **arguments)


def batch(task, t: int, seed: int = 1, start: int = 0, **part) -> np.ndarray:
    context = task.context(Segment(start, 8), seed)
    return task.batch(tf.constant(t), context, **part).inputs.numpy()


def test_the_training_examples_alone_are_measured(source) -> None:
    task = make_task(source, mean="train", std="train")
    images = task._splits["train"].images.numpy() / 255.0
    said = json.loads(json.dumps(task.describe()))
    np.testing.assert_allclose(said["mean"], images.mean((0, 1, 2)))
    np.testing.assert_allclose(said["std"], images.std((0, 1, 2)))
    whole = source.train_images.mean((0, 1, 2)) / 255
    assert np.abs(said["mean"] - whole).min() > 1e-4
    inputs = np.concatenate([batch(task, t, start=0) for t in range(8)])
    assert np.abs(inputs.mean((0, 1, 2))).max() < 0.1
    assert np.abs(inputs.std((0, 1, 2)) - 1).max() < 0.1


def test_the_saved_model_normalises_as_the_task_does(source) -> None:
    task = make_task(source, mean="train", std="train", augmentation=CropAndFlip(1))
    state = StudentState(task.initial(seed=4)[0], (), [])
    accuracy = (
        task.model(state)(source.test_images).numpy().argmax(-1) == source.test_labels
    ).mean()
    assert task.evaluate(state, "test")["accuracy"] == pytest.approx(accuracy)


def test_of_training_examples_that_a_corruption_left(source) -> None:
    task = make_task(source, mean="train", corruption=LongTail(imbalance=8))
    images = task._splits["train"].images.numpy() / 255.0
    np.testing.assert_allclose(task.describe()["mean"], images.mean((0, 1, 2)))
    assert "std" not in task.describe()


def test_one_may_be_given_and_the_other_measured(source) -> None:
    task = make_task(source, mean=np.array([0.5, 0.25]), std="train")
    assert task.describe()["mean"] == [0.5, 0.25]
    assert len(task.describe()["std"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": "dev"}, "mean must be numbers, one a channel, or 'train', got 'dev'"),
        ({"std": "test"}, "std must be numbers"),
        ({"std": (1.0, 0.0)}, "std must be above 0 in every channel"),
        (
            {"augmentation": CropAndFlip(4, fill="reflection")},
            "padding=4 has no reflection in images of 5x4",
        ),
    ],
)
def test_refuses(source, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(source, **arguments)


def test_a_channel_without_contrast_is_named(source) -> None:
    images = source.train_images.copy()
    images[..., 1] = 9
    flat = arrays(images, source.train_labels, source.test_images, source.test_labels)
    with pytest.raises(ValueError, match="std must be above 0 in every channel, got"):
        make_task(flat, std="train")


def test_an_augmented_batch_is_a_function_of_seed_and_step(source) -> None:
    task = make_task(source, augmentation=CropAndFlip(2))
    first = batch(task, 5)
    np.testing.assert_array_equal(first, batch(task, 5, start=4))
    np.testing.assert_array_equal(first, batch(make_task(source, augmentation=CropAndFlip(2)), 5))
    assert np.abs(first - batch(task, 5, seed=2)).max() > 0
    plain = make_task(source)
    assert np.abs(first - batch(plain, 5)).max() > 0
    # With one image for every batch only the draws differ.
    one = make_task(source, dev_size=99, batch_size=1, augmentation=CropAndFlip(2))
    distinct = {batch(one, t).tobytes() for t in range(8)}
    assert len(distinct) > 4


@pytest.mark.parametrize("num_parts", [2, 3, 7])
def test_a_part_of_a_batch_is_augmented_as_in_the_whole(source, num_parts) -> None:
    task = make_task(source, augmentation=CropAndFlip(2), mean="train", std="train")
    parts = [batch(task, 3, part=part, num_parts=num_parts) for part in range(num_parts)]
    assert len(parts) == num_parts
    np.testing.assert_array_equal(np.concatenate(parts), batch(task, 3))


def test_the_border_is_of_the_mean_colour(source) -> None:
    task = make_task(source, mean="train", augmentation=CropAndFlip(5))
    inputs = np.concatenate([batch(task, t) for t in range(8)])
    assert (inputs == 0).all(axis=-1).mean() > 0.3


def test_what_is_observed_and_evaluated_stays_as_it_is(source) -> None:
    plain, augmented = make_task(source), make_task(source, augmentation=CropAndFlip(2))
    state = StudentState(plain.initial(seed=4)[0], (), [])
    np.testing.assert_array_equal(plain.observe(state), augmented.observe(state))
    for part in ("train", "dev", "test"):
        assert plain.evaluate(state, part) == augmented.evaluate(state, part)
    assert augmented.describe()["augmentation"]["padding"] == 2
    assert "augmentation" not in plain.describe()
