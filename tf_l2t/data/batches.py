"""Batches that can be replayed: batch t is a function of (seed, t), never of what came before."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_l2t.data.permutations import permutation
from tf_l2t.data.splits import Examples
from tf_l2t.types import Batch

_STREAM = 1
_CACHED_EPOCHS = 2


class BatchIndices:
    """The rows of every training batch.

    The examples run past in an endless stream of epochs, each a permutation of its own, drawn
    from (seed, epoch). Batch t takes the positions t*batch_size to (t+1)*batch_size-1 of that
    stream: it runs on into the next epoch where the sizes do not divide, so every batch is full
    and every example comes exactly once an epoch.
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int = 0) -> None:
        """Sets the stream.

        Args:
            num_examples: number of rows to choose from.
            batch_size: rows in each batch, from 1 to `num_examples`.
            seed: a number from 0.

        Raises:
            ValueError: one of them is out of range.

        Example:
            >>> BatchIndices(num_examples=5, batch_size=2, seed=1).rows(0, 3).shape
            (3, 2)
        """
        if num_examples < 1:
            raise ValueError(f"num_examples is {num_examples}: give one example at least")
        if not 1 <= batch_size <= num_examples:
            raise ValueError(
                f"batch_size is {batch_size} for {num_examples} training examples: "
                f"give a number from 1 to {num_examples}"
            )
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.seed = seed
        self._epoch = functools.lru_cache(maxsize=_CACHED_EPOCHS)(
            functools.partial(permutation, num_examples, seed, _STREAM)
        )
        self._epoch(0)

    def rows(self, start: int, length: int) -> np.ndarray:
        """Returns the rows of the batches start..start+length-1.

        Args:
            start: index t of the first batch, from 0.
            length: number of batches, at least 1.

        Returns:
            Row indices, int32 [length, batch_size].

        Raises:
            ValueError: `start` or `length` is out of range.
        """
        if start < 0:
            raise ValueError(f"start is {start}: batches count from 0")
        if length < 1:
            raise ValueError(f"length is {length}: ask for one batch at least")
        flat = np.empty(length * self.batch_size, np.int32)
        filled = 0
        while filled < len(flat):
            epoch, offset = divmod(start * self.batch_size + filled, self.num_examples)
            piece = self._epoch(epoch)[offset : offset + len(flat) - filled]
            flat[filled : filled + len(piece)] = piece
            filled += len(piece)
        return flat.reshape(length, self.batch_size)


def gather(
    examples: Examples,
    rows: tf.Tensor,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Batch:
    """Picks the rows of a batch, for use within a `tf.function`.

    Args:
        examples: the images and labels, best as tensors, or images in files, which are read; uint8
            images are scaled to 0..1, float ones taken as they are.
        rows: row indices, int32 [batch].
        mean: what is taken off each channel, after scaling; None takes nothing off.
        std: what each channel is divided by after that; None does not divide.

    Returns:
        Inputs [batch, height, width, channels] in Keras' floatx and targets int32 [batch].

    Raises:
        ValueError: `mean` or `std` has not one value a channel, or a std is not above 0.

    Example:
        >>> batch = gather(splits.train, tf.constant([3, 1]), mean=[0.1307], std=[0.3081])
    """
    dtype = keras.config.floatx()
    picked, labels = examples.taken(rows)
    inputs = tf.cast(picked, dtype)
    if picked.dtype == tf.uint8:
        inputs /= 255
    if mean is not None:
        inputs -= tf.constant(_per_channel("mean", mean, picked.shape[-1]), dtype)
    if std is not None:
        scale = _per_channel("std", std, picked.shape[-1])
        if min(scale) <= 0:
            raise ValueError(f"std is {scale}: give numbers above 0")
        inputs /= tf.constant(scale, dtype)
    return Batch(inputs, labels)


def _per_channel(argument: str, values: Sequence[float], channels: int) -> list[float]:
    if len(values) != channels:
        raise ValueError(
            f"{argument} is {list(values)} for images of {channels} channels: "
            f"give {channels} numbers"
        )
    return [float(value) for value in values]
