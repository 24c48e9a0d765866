"""Where the states of a rollout wait for the reverse pass: the storage policies."""

from __future__ import annotations

import abc
import contextlib
import math
import pathlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_l2t.differentiation.scratch import new_scratch_directory
from tf_l2t.differentiation.segments import Segment, split
from tf_l2t.types import Nest, StudentState

STORAGE_POLICIES = ("memory", "host", "disk", "recompute")

Forward = Callable[[Segment, StudentState, Nest], tuple[StudentState, Any]]


class SegmentRecord(NamedTuple):
    """A segment as the reverse pass meets it."""

    segment: Segment
    context: Nest
    stack: StudentState
    """What `TrainingStep.vjp` reads of the state before each step, [length, ...] a tensor."""


class Trajectory(abc.ABC):
    """The segments of one rollout, recorded first to last and taken once, last to first.

    Attributes:
        keeps_stacks: whether `record` wants the stack of a segment.
        nbytes: bytes of student state that it held at its fullest.
    """

    keeps_stacks = True

    def __init__(self) -> None:
        self.nbytes = 0

    @abc.abstractmethod
    def record(
        self, segment: Segment, context: Nest, state: StudentState, stack: StudentState | None
    ) -> None:
        """Takes up a segment: its context, the state before it and the stack of its states."""

    def parts(self, segment: Segment) -> list[Segment]:
        """Returns what a segment is to be recorded as, one after the other."""
        return [segment]

    @abc.abstractmethod
    def backwards(self, forward: Forward) -> Iterator[SegmentRecord]:
        """Yields the segments from last to first and forgets each.

        Args:
            forward: (segment, state, context) -> (state, stack), to run a segment again.
        """

    @property
    @abc.abstractmethod
    def empty(self) -> bool:
        """Whether nothing was recorded, or all of it has been taken."""

    def close(self) -> None:  # noqa: B027
        """Gives back what the trajectory holds outside this process's memory."""

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Closes the trajectory if the block in it raises."""
        try:
            yield
        except BaseException:
            self.close()
            raise


class MemoryTrajectory(Trajectory):
    """Keeps every stack where it was computed: T · |ω| numbers, as in the paper."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[tuple[Segment, Nest, Any]] = []

    def record(
        self, segment: Segment, context: Nest, state: StudentState, stack: StudentState | None
    ) -> None:
        self.nbytes += nbytes(stack)
        self._records.append((segment, context, self._put(stack)))

    def backwards(self, forward: Forward) -> Iterator[SegmentRecord]:
        while self._records:
            segment, context, held = self._records.pop()
            yield SegmentRecord(segment, context, self._take(held))

    @property
    def empty(self) -> bool:
        return not self._records

    def _put(self, stack: StudentState | None) -> Any:
        return stack

    def _take(self, held: Any) -> StudentState:
        return held


class HostTrajectory(MemoryTrajectory):
    """Keeps the stacks in the memory of the host, for students on an accelerator."""

    def _put(self, stack: StudentState | None) -> Any:
        with tf.device("CPU:0"):
            return tf.nest.map_structure(tf.identity, stack)

    def _take(self, held: Any) -> StudentState:
        return tf.nest.map_structure(tf.identity, held)


class DiskTrajectory(MemoryTrajectory):
    """Keeps the stacks in files of a temporary directory.

    It is made for the first stack, and removed by `close` or together with the trajectory.

    Args:
        directory: where to make it; the system's place for temporary files unless given.
    """

    def __init__(self, directory: str | None = None) -> None:
        super().__init__()
        self._parent = directory
        self._directory = ""
        self._remove: Callable[[], Any] = lambda: None

    def _put(self, stack: StudentState | None) -> Any:
        if not self._directory:
            self._directory, remove = new_scratch_directory(self._parent)
            self._remove = weakref.finalize(self, remove)
        path = pathlib.Path(self._directory, f"{len(self._records):08d}")
        flat = tf.nest.flatten(stack)
        with path.open("wb") as file:
            for tensor in flat:
                # Unlike tofile, this says why it could not write.
                file.write(tensor.numpy().reshape(-1).view(np.uint8))
        template = tf.nest.map_structure(lambda _: 0, stack)
        return path, template, [(tensor.dtype, tensor.shape) for tensor in flat]

    def _take(self, held: Any) -> StudentState:
        path, template, specs = held
        with path.open("rb") as file:
            flat = [
                tf.constant(
                    np.fromfile(file, dtype.as_numpy_dtype, shape.num_elements()).reshape(shape)
                )
                for dtype, shape in specs
            ]
        path.unlink()
        return tf.nest.pack_sequence_as(template, flat)

    def close(self) -> None:
        self._remove()


class RecomputeTrajectory(Trajectory):
    """Keeps the state before each block of segments and runs the block again before its reversal.

    With blocks of √T steps it holds 2·√T states instead of T, at the price of one more forward
    pass (Griewank & Walther, *Evaluating Derivatives*, 2nd ed., chapter 12, one level deep).

    Args:
        block_length: steps of a block; it ends with the segment that reaches them. Segments of
            twice as many and more are recorded in parts.
    """

    keeps_stacks = False

    def __init__(self, block_length: int) -> None:
        super().__init__()
        self._block_length = block_length
        self._blocks: list[tuple[StudentState, list[tuple[Segment, Nest]]]] = []
        self._boundary_bytes = 0

    def parts(self, segment: Segment) -> list[Segment]:
        return split(segment, self._block_length)

    def record(
        self, segment: Segment, context: Nest, state: StudentState, stack: StudentState | None
    ) -> None:
        if not self._blocks or self._steps(self._blocks[-1][1]) >= self._block_length:
            self._blocks.append((state, []))
            self._boundary_bytes += nbytes(state)
        self._blocks[-1][1].append((segment, context))

    def backwards(self, forward: Forward) -> Iterator[SegmentRecord]:
        while self._blocks:
            records = self._recompute(*self._blocks.pop(), forward)
            held = sum(nbytes(record.stack) for record in records)
            self.nbytes = max(self.nbytes, self._boundary_bytes + held)
            while records:
                yield records.pop()

    @property
    def empty(self) -> bool:
        return not self._blocks

    @staticmethod
    def _recompute(
        state: StudentState, segments: list[tuple[Segment, Nest]], forward: Forward
    ) -> list[SegmentRecord]:
        records = []
        for segment, context in segments:
            state, stack = forward(segment, state, context)
            records.append(SegmentRecord(segment, context, stack))
        return records

    @staticmethod
    def _steps(segments: list[tuple[Segment, Nest]]) -> int:
        return sum(segment.length for segment, _ in segments)


def new_trajectory(storage: str, num_steps: int) -> Trajectory:
    """Returns an empty trajectory of a storage policy.

    Args:
        storage: one of `STORAGE_POLICIES`.
        num_steps: how many steps it will hold.

    Raises:
        ValueError: for another name, or where the policy needs eager execution and there is none.
    """
    check_storage(storage)
    if storage in ("host", "disk") and not tf.executing_eagerly():
        raise ValueError(
            f"storage={storage!r} moves tensors out of the graph and cannot be used inside a "
            "tf.function; call hypergradient outside it, or use storage='memory' or 'recompute'."
        )
    if storage == "recompute":
        return RecomputeTrajectory(default_segment_length(storage, num_steps))
    return {"memory": MemoryTrajectory, "host": HostTrajectory, "disk": DiskTrajectory}[storage]()


def check_storage(storage: str) -> None:
    """Raises ValueError unless `storage` names a policy."""
    if storage not in STORAGE_POLICIES:
        raise ValueError(f"storage must be one of {STORAGE_POLICIES}, got {storage!r}.")


def default_segment_length(storage: str, num_steps: int) -> int:
    """Returns √T, which balances the boundaries and the steps that `recompute` holds.

    The other policies hold every state anyway and take at least 50 steps, to call less often.
    """
    root = max(1, math.isqrt(max(num_steps, 1) - 1) + 1)
    return root if storage == "recompute" else max(root, 50)


def nbytes(tensors: Nest) -> int:
    """Returns the bytes of a nest of tensors, 0 for one whose shape the graph does not know."""
    return sum(
        (tensor.shape.num_elements() or 0) * tensor.dtype.size
        for tensor in tf.nest.flatten(tensors)
    )
