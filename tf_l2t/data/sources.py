"""Where examples come from: labelled images, checked once, in memory or read when asked for."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np

from tf_l2t.data.stored_images import StoredImages


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Labelled images for training and testing; make one with `arrays`, which checks them."""

    train_images: np.ndarray | StoredImages
    """uint8 in 0..255 or float32 [examples, height, width, channels]."""
    train_labels: np.ndarray
    """int32 [examples], each in 0..num_classes-1."""
    test_images: np.ndarray | StoredImages
    """Like `train_images`, with the same dtype and image shape."""
    test_labels: np.ndarray
    """Like `train_labels`."""
    class_names: tuple[str, ...]
    """Name of each class."""
    name: str
    """Name of the whole, for reports."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the four arrays (dtypes, shapes and values), in hex.

        Of images that are read by random access it takes the records in place of the values.
        """
        state = hashlib.sha256()
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(part.digest.encode() if isinstance(part, StoredImages) else part.data)
        return state.hexdigest()


def arrays(
    train_images: np.ndarray | StoredImages,
    train_labels: np.ndarray,
    test_images: np.ndarray | StoredImages,
    test_labels: np.ndarray,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
) -> Source:
    """Makes a source of your own arrays, after a check of every one.

    Args:
        train_images: uint8 in 0..255, or float, [examples, height, width, channels]. Batches
            of uint8 images are scaled to 0..1, float ones are taken as they are. Those that are
            stored are not read for the check.
        train_labels: integers [examples], from 0.
        test_images: like `train_images`.
        test_labels: like `train_labels`.
        class_names: name of each class; None numbers them up to the largest label.
        name: name of the whole, for reports.

    Returns:
        The source; its labels are int32, its float images float32.

    Raises:
        ValueError: an array does not fit this description, holds no examples, values that are
            not finite or labels out of range, or all examples are of one class.

    Example:
        >>> source = arrays(x_train, y_train, x_test, y_test, name="digits")
    """
    train_x, test_x = (
        _images("train_images", train_images),
        _images("test_images", test_images),
    )
    if train_x.shape[1:] != test_x.shape[1:] or train_x.dtype != test_x.dtype:
        raise ValueError(
            f"test_images holds {test_x.dtype} images of {test_x.shape[1:]}, train_images "
            f"{train_x.dtype} images of {train_x.shape[1:]}: give both the same shape and dtype"
        )
    train_y = _labels("train_labels", train_labels, len(train_x))
    test_y = _labels("test_labels", test_labels, len(test_x))
    if class_names is None:
        class_names = [str(k) for k in range(max(train_y.max(), test_y.max()) + 1)]
    for argument, labels in (("train_labels", train_y), ("test_labels", test_y)):
        if labels.max() >= len(class_names):
            raise ValueError(
                f"{argument} holds the label {labels.max()}, but there are {len(class_names)} "
                "class_names: labels count from 0; name every class or drop these examples"
            )
    if train_y.min() == train_y.max():
        raise ValueError(
            f"train_labels holds the one class {train_y[0]}: give examples of two at least"
        )
    return Source(train_x, train_y, test_x, test_y, tuple(class_names), name)


def _images(argument: str, value: np.ndarray | StoredImages) -> np.ndarray | StoredImages:
    if isinstance(value, StoredImages):
        return value
    images = np.asarray(value)
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"{argument} is of dtype {images.dtype}: give uint8 in 0..255 or float, "
            f"such as {argument}.astype(np.uint8)"
        )
    if images.ndim != 4:
        raise ValueError(
            f"{argument} has the shape {images.shape}: give [examples, height, width, channels], "
            f"such as {argument}[..., None] for grey images"
        )
    if images.size == 0:
        raise ValueError(f"{argument} has the shape {images.shape}: give one example at least")
    if images.dtype != np.uint8:
        with np.errstate(over="ignore"):
            images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise ValueError(
                f"{argument} holds {np.count_nonzero(~np.isfinite(images))} values that are NaN "
                "or infinite in float32: replace them or drop these examples"
            )
    return _sealed(images)


def _labels(argument: str, value: np.ndarray, count: int) -> np.ndarray:
    labels = np.asarray(value)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise ValueError(
            f"{argument} is {labels.dtype} of the shape {labels.shape}: give integers [examples], "
            f"such as {argument}.astype(int).ravel(), or argmax(-1) of one-hot rows"
        )
    if len(labels) != count:
        raise ValueError(
            f"{argument} holds {len(labels)} labels for {count} images: give one for each image"
        )
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"{argument} holds the labels {labels.min()} to {labels.max()}: count classes from 0"
        )
    return _sealed(labels.astype(np.int32))


def _sealed(array: np.ndarray) -> np.ndarray:
    """Returns a read-only view, so that what was checked and hashed stays what is used."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
