"""What a rollout will hold for its reverse pass, computed from shapes before a step is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_l2t.differentiation.segments import Segment, split
from tf_l2t.differentiation.trajectory import (
    STORAGE_POLICIES,
    check_storage,
    default_segment_length,
    nbytes,
)
from tf_l2t.differentiation.update_rules import UpdateRule
from tf_l2t.types import Nest

AUTO = "auto"
# "host" is for accelerators: elsewhere it is the memory that "memory" takes. "disk" comes last: a
# teacher step took 1.06 times as long as with "memory" for LeNet, but 3.3 times for a perceptron
# with 6 times the weights, where "recompute" took 1.4 and 1.25 times.
FASTEST_FIRST = ("memory", "host", "recompute", "disk")

# The rest is left to activations, data and whatever else runs there.
_SHARE = 0.5


class StateBytes(NamedTuple):
    """Bytes of one state of a student."""

    saved: int
    """What the reverse pass reads of it; what a trajectory takes a step."""
    whole: int
    """All of it: weights, slots and variables."""


class Need(NamedTuple):
    """Bytes that a student's rollout and reverse pass take at their fullest, activations apart."""

    device: int
    """In the memory of the device that trains the student."""
    host: int
    """In the memory of the host besides."""
    disk: int
    """In files."""


class Room(NamedTuple):
    """Bytes that are free."""

    memory: int
    """Of the host."""
    accelerator: int | None
    """Of the accelerator with the least; None where there is none."""
    disk: int
    """Where trajectories are written."""


def state_bytes(
    update_rule: UpdateRule,
    weights: list[tf.Tensor],
    variables: list[tf.Tensor],
    loss_state: Sequence[Nest] = (),
) -> StateBytes:
    """Returns the bytes of a state of a student with such weights, variables and `loss_state`."""
    slots = nbytes(update_rule.init(weights))
    rest = nbytes([weights, variables, *loss_state])
    return StateBytes(rest + slots if update_rule.reads_slots else rest, rest + slots)


def held_bytes(
    storage: str, state: StateBytes, num_steps: int, segment_length: int | None = None
) -> int:
    """Returns what `Trajectory.nbytes` will be once a rollout was reversed.

    `recompute` holds the state before each block, and what is read of the states of one block:
    blocks·|z| + steps of a block·|saved|, every other policy T·|saved|.

    Args:
        storage: one of `STORAGE_POLICIES`.
        state: bytes of a state.
        num_steps: T, the steps that are recorded; those of the truncation where there is one.
        segment_length: K, steps of a segment; that of `Engine` if None.

    Raises:
        ValueError: for another policy.
    """
    check_storage(storage)
    if storage != "recompute":
        return num_steps * state.saved
    count, longest_block, _ = _blocks(num_steps, segment_length)
    return count * state.whole + longest_block * state.saved


def need(
    storage: str, state: StateBytes, num_steps: int, segment_length: int | None = None
) -> Need:
    """Returns what a student's rollout and reverse pass take; the arguments of `held_bytes`.

    Besides what the trajectory holds, the states of the segment under way are there once more
    while they are stacked.
    """
    held = held_bytes(storage, state, num_steps, segment_length)
    if storage == "recompute":
        _, _, length = _blocks(num_steps, segment_length)
    else:
        length = min(segment_length or default_segment_length(storage, num_steps), num_steps)
    stack = length * state.saved
    if storage == "host":
        return Need(2 * stack, held, 0)
    if storage == "disk":
        return Need(2 * stack, 0, held)
    return Need(held + stack, 0, 0)


def fits(need: Need, room: Room, students: int = 1) -> bool:
    """Returns whether half of what is free is enough for students that are trained side by side.

    Accelerators train one each; what needs the memory of the host shares it.
    """
    host = need.host if room.accelerator is not None else need.host + need.device
    return (
        students * host <= _SHARE * room.memory
        and students * need.disk <= _SHARE * room.disk
        and (room.accelerator is None or need.device <= _SHARE * room.accelerator)
    )


def choose(needs: Mapping[str, Need], room: Room, students: int = 1) -> str | None:
    """Returns the fastest storage policy that fits, None if none does.

    Args:
        needs: of a student, by policy.
        room: what is free.
        students: how many are trained side by side.
    """
    policies = [name for name in FASTEST_FIRST if name != "host" or room.accelerator is not None]
    return next((name for name in policies if fits(needs[name], room, students)), None)


def longest(
    storage: str, state: StateBytes, memory: int, segment_length: int | None = None
) -> int | None:
    """Returns the largest T whose `Need.device` is within a number of bytes, 0 if there is none.

    None stands for any T: "host" and "disk" hold two segments on the device, however long the
    student is trained. The need of "recompute" goes up and down by a state as blocks grow; then
    it is a T that fits, while T + 1 does not.
    """
    within = lambda steps: need(storage, state, steps, segment_length).device <= memory
    if not within(1):
        return 0
    if storage in ("host", "disk") and segment_length is not None and within(segment_length):
        return None
    short = 1
    while within(2 * short):
        short *= 2
    long = 2 * short
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (middle, long) if within(middle) else (short, middle)
    return short


def needs(state: StateBytes, num_steps: int, segment_length: int | None = None) -> dict[str, Need]:
    """Returns the need of every storage policy; the arguments of `held_bytes`."""
    return {name: need(name, state, num_steps, segment_length) for name in STORAGE_POLICIES}


def _blocks(num_steps: int, segment_length: int | None) -> tuple[int, int, int]:
    """Returns how many blocks `recompute` has, and the steps of its longest block and stack."""
    least = default_segment_length("recompute", num_steps)
    length = segment_length or least
    if length < least:
        block = -(-least // length) * length
        return -(-num_steps // block), min(block, num_steps), min(length, num_steps)
    # Each part of a segment is a block.
    whole, rest = divmod(num_steps, length)
    parts = [(times, split(Segment(0, n), least)) for times, n in ((whole, length), (1, rest)) if n]
    longest_part = max(part.length for times, of_one in parts if times for part in of_one)
    return sum(times * len(of_one) for times, of_one in parts), longest_part, longest_part
