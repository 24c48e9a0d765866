"""The plan of a trajectory says what the trajectory then really holds."""

import itertools

import pytest
import tensorflow as tf

from tf_l2t.differentiation import SGD, Adam, Engine
from tf_l2t.differentiation.plan import (
    FASTEST_FIRST,
    Need,
    Room,
    StateBytes,
    choose,
    fits,
    held_bytes,
    longest,
    need,
    needs,
    state_bytes,
)
from tf_l2t.differentiation.segments import cut
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES, new_trajectory
from tf_l2t.types import StudentState

STEPS = (1, 2, 9, 10, 36, 37, 101)
LENGTHS = (1, 3, 6, 13, 50)
# Bytes of the states below: 5 weights that are read, 7 of slots that are not.
STATE = StateBytes(saved=20, whole=48)


def fake_state(*shape: int) -> StudentState:
    return StudentState([tf.zeros([*shape, 5])], (), [])


def held(storage: str, num_steps: int, length: int) -> int:
    """Returns what a trajectory holds whose states are as large as `STATE`."""
    trajectory = new_trajectory(storage, num_steps)
    whole = fake_state()._replace(slots=(tf.zeros([7]),))
    for segment in cut(0, num_steps, length):
        for part in trajectory.parts(segment):
            trajectory.record(part, (), whole, fake_state(part.length))
    for _ in trajectory.backwards(lambda segment, *_: (whole, fake_state(segment.length))):
        pass
    trajectory.close()
    return trajectory.nbytes


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
def test_what_is_held_is_what_was_planned(storage):
    for num_steps, length in itertools.product(STEPS, LENGTHS):
        planned = held_bytes(storage, STATE, num_steps, length)
        assert held(storage, num_steps, length) == planned, (num_steps, length)


@pytest.mark.parametrize(
    ("rule", "length"), [(SGD(0.1, momentum=0.9), 3), (Adam(0.1), None)], ids=["SGD", "Adam"]
)
def test_an_engine_holds_what_was_planned(rule, length):
    def inner_loss(weights, variables, coefficients, batch, own):
        loss = tf.reduce_sum(coefficients * weights[0] ** 2) + tf.reduce_sum(weights[1])
        return loss, [variables[0] + 1], own + 1

    step = TrainingStep(inner_loss, lambda t, context: (), rule)
    weights, variables = [tf.ones([3, 2]), tf.ones([4])], [tf.zeros([5])]
    loss_state = (tf.zeros([2]),)
    planned = state_bytes(rule, weights, variables, loss_state)
    assert planned.saved == 4 * (17 if isinstance(rule, SGD) else 37)
    assert planned.whole == 4 * (27 if isinstance(rule, SGD) else 37)
    compiled = Engine(step).segments
    for storage in STORAGE_POLICIES:
        engine = Engine(step, storage=storage, segment_length=length, truncate=10)
        engine.segments = compiled
        state = step.initial_state(weights, variables, loss_state)
        rollout = engine.roll_out(state, tf.ones([3, 2]), 13)
        adjoint = [tf.ones_like(tensor) for tensor in tf.nest.flatten(rollout.state)]
        engine.reverse(rollout, tf.ones([3, 2]), adjoint)
        assert rollout.trajectory.nbytes == held_bytes(storage, planned, 10, length), storage


def test_what_is_needed_beside_the_trajectory():
    found = needs(STATE, 100, 10)
    assert found["memory"] == Need(100 * 20 + 10 * 20, 0, 0)
    assert found["host"] == Need(2 * 10 * 20, 100 * 20, 0)
    assert found["disk"] == Need(2 * 10 * 20, 0, 100 * 20)
    # The states before ten blocks, those of one block, and a stack of one segment.
    assert found["recompute"] == Need(10 * 48 + 10 * 20 + 10 * 20, 0, 0)


def test_the_longest_student_that_fits():
    for storage, memory in itertools.product(("memory", "recompute"), (100, 999, 5000)):
        steps = longest(storage, STATE, memory, 10)
        fitting = [need(storage, STATE, t, 10).device <= memory for t in (steps, steps + 1)]
        assert fitting == [True, False], (storage, memory)
    assert longest("memory", STATE, 39, 10) == 0
    assert longest("disk", STATE, 400, 10) is longest("host", STATE, 400, 10) is None
    # One segment of fewer than ten steps, twice.
    assert longest("disk", STATE, 399, 10) == 9


def test_the_fastest_that_fits_is_chosen():
    assert set(FASTEST_FIRST) == set(STORAGE_POLICIES)
    found = needs(STATE, 100, 10)
    room = lambda memory, accelerator=None, disk=0: Room(memory, accelerator, disk)
    assert choose(found, room(2 * 2200)) == "memory"
    # Never "host" without an accelerator: it takes the same memory.
    assert choose(found, room(2 * 2200 - 1)) == "recompute"
    assert choose(found, room(2 * 880)) == "recompute"
    assert choose(found, room(2 * 880 - 1)) is None
    assert choose(found, room(2 * 400, disk=2 * 2000)) == "disk"
    assert choose(found, room(2 * 400, disk=2 * 2000 - 1)) is None
    # The memory of an accelerator counts there, that of the host where stacks are moved to it.
    assert choose(found, room(0, accelerator=2 * 2200)) == "memory"
    assert choose(found, room(2 * 2000, accelerator=2 * 2200 - 1)) == "host"
    assert choose(found, room(2 * 2000 - 1, accelerator=2 * 2200 - 1)) == "recompute"


def test_students_side_by_side_share_the_memory_of_the_host():
    memory, host = needs(STATE, 100, 10)["memory"], needs(STATE, 100, 10)["host"]
    assert not fits(memory, Room(2 * 2200, None, 0), students=2)
    assert fits(memory, Room(4 * 2200, None, 0), students=2)
    assert fits(memory, Room(0, 2 * 2200, 0), students=2)
    assert not fits(host, Room(2 * 2000, 2 * 2200, 0), students=2)
