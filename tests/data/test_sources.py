"""A source of one's own arrays is checked once, and cannot change afterwards."""

import numpy as np
import pytest

from tf_l2t.data import arrays

GOOD = {
    "train_images": np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3),
    "train_labels": np.array([0, 2, 1, 0]),
    "test_images": np.ones((2, 2, 2, 3), np.uint8),
    "test_labels": np.array([1, 0]),
}


def test_takes_arrays():
    source = arrays(**GOOD, name="tiny")
    assert (source.name, source.class_names) == ("tiny", ("0", "1", "2"))
    assert (source.num_classes, source.input_shape) == (3, (2, 2, 3))
    assert source.train_images.dtype == np.uint8
    assert source.train_labels.dtype == source.test_labels.dtype == np.int32
    np.testing.assert_array_equal(source.train_images, GOOD["train_images"])


def test_float_images_become_float32():
    images = {key: GOOD[key] / 255 for key in ("train_images", "test_images")}
    assert arrays(**(GOOD | images)).test_images.dtype == np.float32


def test_more_names_than_labels():
    assert arrays(**GOOD, class_names=list("abcde")).class_names == ("a", "b", "c", "d", "e")


def test_arrays_are_read_only_and_the_given_ones_are_not():
    images = GOOD["train_images"].copy()
    source = arrays(**(GOOD | {"train_images": images}))
    with pytest.raises(ValueError, match="read-only"):
        source.train_images[0] = 0
    images[0] = 0


def test_digest_is_of_the_values():
    source = arrays(**GOOD)
    assert source.digest == arrays(**GOOD, class_names="abc", name="other").digest
    assert len(source.digest) == 64
    for key, array in GOOD.items():
        changed = array.copy()
        changed.flat[-1] += 1
        assert arrays(**(GOOD | {key: changed})).digest != source.digest
    as_float = {key: GOOD[key].astype(float) for key in ("train_images", "test_images")}
    assert arrays(**(GOOD | as_float)).digest != source.digest


def with_value(key, value):
    images = {k: GOOD[k].astype(np.float64) for k in ("train_images", "test_images")}
    images[key].flat[1] = value
    return images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((4, 2, 2))}, r"train_images has the shape \(4, 2, 2\).*None\]"),
        ({"test_images": np.zeros((0, 2, 2, 3))}, "test_images has the shape .* one example"),
        ({"train_images": GOOD["train_images"].astype(int)}, r"train_images is of dtype int64: .*"),
        ({"test_images": np.zeros((2, 2, 2, 1), np.uint8)}, r"test_images .*\(2, 2, 1\).*the same"),
        ({"test_images": np.zeros((2, 2, 2, 3))}, "test_images holds float32 .*the same shape and"),
        (with_value("test_images", np.nan), "test_images holds 1 values that are NaN"),
        (with_value("train_images", -np.inf), "train_images holds 1 values that are NaN or inf"),
        (with_value("train_images", 1e300), "train_images holds 1 values .* in float32: replace"),
        ({"train_labels": np.array([0, 1, 2])}, "train_labels holds 3 labels for 4 images"),
        ({"test_labels": np.array([0, 1, 2])}, "test_labels holds 3 labels for 2 images"),
        ({"train_labels": np.array([0, 1, -1, 0])}, "train_labels holds the labels -1 to 1"),
        ({"test_labels": np.array([0.0, 1.0])}, r"test_labels is float64.*astype\(int\)"),
        ({"train_labels": np.eye(4, dtype=int)}, r"train_labels is int64 .*\(4, 4\).*argmax"),
        ({"train_labels": np.ones(4, int)}, "train_labels holds the one class 1: give"),
        ({"class_names": "ab"}, "train_labels holds the label 2, but there are 2 class_names"),
        (
            {"test_labels": np.array([0, 7]), "class_names": "abc"},
            "test_labels holds the label 7, but there are 3 class_names",
        ),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        arrays(**(GOOD | changes))
