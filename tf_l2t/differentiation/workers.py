"""The processes of a cluster: sums and messages between them."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# Beyond the keys that tf.distribute counts up from 0.
_GROUP_KEY = 1_972_000
_INSTANCE_KEYS = itertools.count(1_972_000)


class Workers:
    """Sums over the workers of a cluster, inside loops and derivatives too.

    `tf.distribute` itself has no all-reduce that works in a `tf.while_loop` on CPU. Every worker
    must call the same methods in the same order, with tensors of the same shapes.

    Args:
        count: number of worker processes; with 1 nothing is sent.
        index: of this process, from 0; worker 0 is the chief.

    Raises:
        tf.errors.UnavailableError: from any method, if another worker is gone.
    """

    def __init__(self, count: int = 1, index: int = 0) -> None:
        self.count = count
        self.index = index
        # Traced once for each shape: a collective has one key for all workers.
        self._sum_eagerly = tf.function(self._sum_vector, autograph=False)
        on_host = functools.partial(self._sum_vector, group_key=_GROUP_KEY + 1)
        self._sum_on_host = tf.function(on_host, autograph=False)

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the sums over all workers, the same on each, by one collective a dtype."""
        if self.count == 1:
            return list(tensors)
        add = self._sum_eagerly if tf.executing_eagerly() else self._sum_vector
        return _fused(add, tensors)

    def copy_in(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the tensors, whose derivatives are summed over all workers.

        It stands where what all workers hold alike enters what each computes of its own part.
        """
        if self.count == 1 or not tensors:
            return list(tensors)

        @tf.custom_gradient
        def copied(*xs: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
            return [tf.identity(x) for x in xs], lambda *dys: self.sum_out(list(dys))

        return list(copied(*tensors))

    def sum_out(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the sums over all workers; the derivative of each part is that of the sum.

        It stands where the parts that each worker computed become what all hold alike.
        """
        if self.count == 1 or not tensors:
            return list(tensors)

        @tf.custom_gradient
        def summed(*xs: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
            return self.sum(list(xs)), lambda *dys: self.copy_in(list(dys))

        return list(summed(*tensors))

    def gather(self, value: Any) -> list[Any]:
        """Returns what each worker gave, in the order of the workers; JSON values only."""
        if self.count == 1:
            return [value]
        data = json.dumps(value).encode()
        lengths = self._lengths(data)
        rows = np.zeros((self.count, _words(max(lengths))), np.int32)
        rows[self.index] = _padded(data, rows.shape[1])
        summed = self._send(rows)
        return [
            json.loads(row.tobytes()[:length]) for row, length in zip(summed, lengths, strict=True)
        ]

    def broadcast(self, data: bytes) -> bytes:
        """Returns the bytes that the chief gave; those of the others are not looked at."""
        if self.count == 1:
            return data
        own = data if self.index == 0 else b""
        length = self._lengths(own)[0]
        return self._send(_padded(own, _words(length))).tobytes()[:length]

    def _lengths(self, data: bytes) -> list[int]:
        lengths = np.zeros(self.count, np.int32)
        lengths[self.index] = len(data)
        return self._send(lengths).tolist()

    def _send(self, array: np.ndarray) -> np.ndarray:
        # A group of its own: one that is used on GPUs must not be used on CPUs too.
        with tf.device("CPU:0"):
            return self._sum_on_host(tf.constant(array)).numpy()

    def _sum_vector(self, vector: tf.Tensor, group_key: int = _GROUP_KEY) -> tf.Tensor:
        return tf.raw_ops.CollectiveReduceV2(
            input=vector,
            group_size=self.count,
            group_key=group_key,
            instance_key=next(_INSTANCE_KEYS),
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
        )


def _words(length: int) -> int:
    """Returns how many int32 hold so many bytes: a power of two, so that few shapes are traced."""
    return 1 << max(-(-length // 4) - 1, 0).bit_length()


def _padded(data: bytes, words: int) -> np.ndarray:
    return np.frombuffer(data + b"\0" * (4 * words - len(data)), np.int32)


def _fused(function: Callable[[tf.Tensor], tf.Tensor], tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Applies a function of vectors to all tensors of a dtype at once."""
    results: list[tf.Tensor] = list(tensors)
    for dtype in sorted({tensor.dtype for tensor in tensors}, key=lambda dtype: dtype.name):
        chosen = [k for k, tensor in enumerate(tensors) if tensor.dtype == dtype]
        parts = [tf.reshape(tensors[k], [-1]) for k in chosen]
        sizes = [part.shape[0] for part in parts]
        for k, part in zip(chosen, tf.split(function(tf.concat(parts, 0)), sizes), strict=True):
            results[k] = tf.reshape(part, tensors[k].shape)
    return results
