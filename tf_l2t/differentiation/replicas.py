"""The devices that work is spread over, by a `tf.distribute` strategy."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.differentiation.workers import Workers


class Each(tuple):
    """An argument of `Replicas.run` of which each device gets its own item."""


class Replicas:
    """The devices of this process, and the workers of the cluster that it is one of.

    Args:
        strategy: a `MirroredStrategy` or `MultiWorkerMirroredStrategy`; None for the default
            device alone.
        split_batches: whether all devices work on one student, each on its part of the batch.
            Else each has its own student, and nothing passes between them in a rollout.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy | None = None, split_batches: bool = False
    ) -> None:
        self._strategy = strategy
        self.devices: tuple[str | None, ...] = (None,)
        self.workers = Workers()
        if strategy is not None:
            self.devices = tuple(strategy.extended.worker_devices)
            resolver = strategy.cluster_resolver
            if resolver is not None and resolver.task_id is not None:
                count = sum(map(len, resolver.cluster_spec().as_dict().values()))
                self.workers = Workers(count, resolver.task_id)
        self._split_batches = split_batches
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}

    @property
    def count(self) -> int:
        """Devices of all workers together."""
        return len(self.devices) * self.workers.count

    @property
    def students_at_once(self) -> int:
        """How many students this process trains side by side."""
        return 1 if self._split_batches else len(self.devices)

    @property
    def num_parts(self) -> int:
        """How many parts a batch is split into over all workers."""
        return self.count if self._split_batches else 1

    @property
    def parts(self) -> list[tuple[int, str | None]]:
        """The parts of a batch that this process works on: number and device of each."""
        if not self._split_batches:
            return [(0, None)]
        return [(self._first + k, device) for k, device in enumerate(self.devices)]

    @property
    def _first(self) -> int:
        return len(self.devices) * self.workers.index

    def share(self, items: Sequence[Any]) -> list[list[Any]]:
        """Deals students, or whatever stands for them, out over the devices of all workers.

        Returns:
            The rounds of this process, each of at most `students_at_once` items; the last round
            may be short, or empty.
        """
        first = 0 if self._split_batches else self._first
        stop = first + self.students_at_once
        return [together[first:stop] for together in self.rounds(items)]

    def rounds(self, items: Sequence[Any]) -> list[list[Any]]:
        """Returns the students, or whatever stands for them, that all workers train at a time."""
        size = 1 if self._split_batches else self.count
        return [list(items[start : start + size]) for start in range(0, len(items), size)]

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Calls a `tf.function` on every device of this process, all at the same time.

        Args:
            function: the `tf.function`; nothing passes between its calls.
            arguments: of it; of an `Each` every device gets its own item.

        Returns:
            What the calls returned, in the order of the devices.
        """
        if self.students_at_once == 1:
            with tf.device(self.devices[0]) if self.devices[0] else contextlib.nullcontext():
                return [function(*(a[0] if isinstance(a, Each) else a for a in arguments))]
        strategy = self._strategy
        assert strategy is not None

        def spread(argument: Any) -> Any:
            if not isinstance(argument, Each):
                return argument
            item = lambda context: argument[context.replica_id_in_sync_group - self._first]
            return strategy.experimental_distribute_values_from_function(item)

        if function not in self._compiled:
            # Our own function around `run`: that of TensorFlow would have XLA compile it all.
            # A partial, since TensorFlow counts traces by the code of a function.
            self._compiled[function] = tf.function(
                functools.partial(_run, strategy, function), autograph=False
            )
        result = self._compiled[function](*map(spread, arguments))
        local = strategy.experimental_local_results
        return [
            tf.nest.map_structure(lambda leaf, k=k: local(leaf)[k], result)
            for k in range(len(self.devices))
        ]


def _run(strategy: tf.distribute.Strategy, function: Callable[..., Any], *arguments: Any) -> Any:
    return strategy.run(lambda *own: function(*own), args=arguments)
