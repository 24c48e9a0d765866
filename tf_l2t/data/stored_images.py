"""Images that stay in files, and are read when a batch asks for them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf


class StoredImages:
    """Images read by random access, with as much of an array's interface as a `Source` needs.

    A row is read anew each time, so that a batch is a function of its rows, as it is of images in
    memory: a reverse pass that runs a step again gets the same pixels, and holds none of them.

    Args:
        fetch: (row indices, int [n]) -> the stored records, bytes each. It is called by one
            thread at a time.
        decode: (a record, scalar string tensor) -> the image; TensorFlow operations only.
        shape: [examples, height, width, channels].
        dtype: of the pixels, uint8 or float32.
        digest: SHA-256 of all records, in hex.
    """

    def __init__(
        self,
        fetch: Callable[[np.ndarray], Sequence[bytes]],
        decode: Callable[[tf.Tensor], tf.Tensor],
        shape: Sequence[int],
        dtype: np.dtype,
        digest: str,
    ) -> None:
        count, *self._image_shape = shape
        self.dtype = np.dtype(dtype)
        self.digest = digest
        self._fetch = fetch
        spec = tf.TensorSpec(self._image_shape, self.dtype)
        self._decode = tf.function(
            lambda records: tf.map_fn(decode, records, fn_output_signature=spec),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )
        self._lock = threading.Lock()
        self._set(np.arange(count, dtype=np.int32))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of images, height, width and channels."""
        return (len(self), *self._image_shape)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._rows)

    def __getitem__(self, rows: slice | np.ndarray) -> StoredImages:
        """Returns some of the images, in the order of the rows; nothing is read."""
        return self._of(self._rows[rows])

    def joined(self, others: StoredImages) -> StoredImages:
        """Returns these images and then others of the same files; nothing is read."""
        return self._of(np.concatenate([self._rows, others._rows]))

    def take(self, rows: tf.Tensor) -> tf.Tensor:
        """Reads the images of some rows, within a `tf.function` or outside.

        Args:
            rows: int [n].

        Returns:
            [n, height, width, channels].
        """
        # Files are read and images decoded by the host, whatever device asks.
        with tf.device("CPU:0"):
            stored = tf.gather(self._known_rows, rows)
            records = tf.numpy_function(self._read, [stored], tf.string)
            images = self._decode(tf.ensure_shape(records, rows.shape))
        return tf.ensure_shape(images, [rows.shape[0], *self._image_shape])

    def _of(self, rows: np.ndarray) -> StoredImages:
        some = copy.copy(self)
        some._set(rows)
        return some

    def _set(self, rows: np.ndarray) -> None:
        self._rows = rows
        with tf.device("CPU:0"):
            self._known_rows = tf.constant(rows)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        with self._lock:
            records = self._fetch(rows)
        found = np.empty(len(records), object)
        found[:] = records
        return found


Images: TypeAlias = "np.ndarray | tf.Tensor | StoredImages"


def take(images: Images, rows: tf.Tensor) -> tf.Tensor:
    """Returns the images of some rows, read from files where they are stored there."""
    return images.take(rows) if isinstance(images, StoredImages) else tf.gather(images, rows)


def in_memory(images: Images) -> np.ndarray | tf.Tensor:
    """Returns all images as an array or tensor, read at once where they are stored in files."""
    return images.take(tf.range(len(images))) if isinstance(images, StoredImages) else images
