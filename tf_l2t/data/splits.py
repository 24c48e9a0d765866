"""Cuts a source into train, dev and test."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.data.permutations import permutation
from tf_l2t.data.sources import Source
from tf_l2t.data.stored_images import Images, StoredImages, take

_STREAM = 0


class Examples(NamedTuple):
    """Images with their labels, as arrays, as tensors, or with the images in files."""

    images: Images
    """uint8 or float32 [examples, height, width, channels]."""
    labels: np.ndarray | tf.Tensor
    """int32 [examples]."""

    def as_tensors(self) -> Examples:
        """Returns them as tensors, the images only if they are in memory."""
        stored = isinstance(self.images, StoredImages)
        images = self.images if stored else tf.constant(self.images)
        return Examples(images, tf.constant(self.labels, tf.int32))

    def some(self, rows: slice) -> Examples:
        """Returns the examples of a slice."""
        return Examples(self.images[rows], self.labels[rows])

    def taken(self, rows: tf.Tensor) -> Examples:
        """Returns the examples of some rows as tensors, the images read where they are stored."""
        return Examples(take(self.images, rows), tf.gather(self.labels, rows))

    def joined(self, others: Examples) -> Examples:
        """Returns these examples, which are tensors, and then others of the same source."""
        if isinstance(self.images, StoredImages) and isinstance(others.images, StoredImages):
            images: Images = self.images.joined(others.images)
        else:
            images = tf.concat([self.images, others.images], axis=0)
        return Examples(images, tf.concat([self.labels, others.labels], axis=0))


class Splits(NamedTuple):
    """What a student learns from, what its teacher is judged by, and what is reported."""

    train: Examples
    """Examples for the student's weights."""
    dev: Examples
    """Held-out examples for the teacher."""
    test: Examples
    """Examples for the report alone."""


def split(source: Source, dev_size: float, seed: int = 0, reserved: int = 0) -> Splits:
    """Holds a random part of the training examples out as dev.

    Args:
        source: the examples.
        dev_size: number of dev examples or, below 1, their part of the training examples.
        seed: the same seed gives the same split; a number from 0.
        reserved: number of training examples that take no part. They are the dev examples of the
            split with `dev_size=reserved` and the same seed.

    Returns:
        The three sets; train and dev are disjoint and together the source's training examples
        that are not reserved.

    Raises:
        ValueError: `dev_size` leaves no dev or no train examples, or is not a whole number; or
            `reserved` leaves nothing.

    Example:
        >>> splits = split(embedded_mnist(), dev_size=5000, seed=1)
        >>> splits = split(embedded_mnist(), dev_size=0.1, seed=1)  # 6000
    """
    total = len(source.train_labels) - whole_number("split", "reserved", reserved, 0)
    if total < 2:
        raise ValueError(
            f"reserved is {reserved} of {len(source.train_labels)} training examples: leave two at "
            "least, for dev and train"
        )
    size = round(dev_size * total) if 0 < dev_size < 1 else dev_size
    if not 1 <= size < total or size != int(size):
        raise ValueError(
            f"dev_size is {dev_size!r} of {total} training examples: give a whole number from 1 "
            f"to {total - 1}, or a part of them such as 0.1 that leaves one dev and one train "
            "example at least"
        )
    order = permutation(len(source.train_labels), seed, _STREAM)[reserved:]
    dev, train = order[: int(size)], order[int(size) :]
    return Splits(
        train=Examples(source.train_images[train], source.train_labels[train]),
        dev=Examples(source.train_images[dev], source.train_labels[dev]),
        test=Examples(source.test_images, source.test_labels),
    )
