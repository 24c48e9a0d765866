"""The storage policies: what they hold, for how long, and that it comes back as it went in."""

import gc
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation.segments import Segment, cut
from tf_l2t.differentiation.trajectory import (
    STORAGE_POLICIES,
    DiskTrajectory,
    RecomputeTrajectory,
    Trajectory,
    check_storage,
    default_segment_length,
    nbytes,
    new_trajectory,
)
from tf_l2t.types import StudentState

Count = tuple[StudentState, StudentState]


def counting(segment: Segment, state: StudentState, context: tf.Tensor) -> Count:
    """Stands for a student that counts its steps: the state of step t is full of t."""
    steps = tf.range(segment.start, segment.start + segment.length, dtype=tf.float32)
    assert float(state.weights[0][0]) == segment.start
    assert int(context) == segment.start
    stack = StudentState([tf.repeat(steps[:, None], 5, axis=1)], (), [])
    return state_of(segment.start + segment.length), stack


def state_of(t: int) -> StudentState:
    return StudentState([tf.fill([5], float(t))], (), [])


def record(trajectory: Trajectory, num_steps: int, length: int) -> list[Segment]:
    segments, state = cut(0, num_steps, length), state_of(0)
    for segment in segments:
        context = tf.constant(segment.start)
        after, stack = counting(segment, state, context)
        trajectory.record(segment, context, state, stack if trajectory.keeps_stacks else None)
        state = after
    return segments


@pytest.mark.parametrize("storage", STORAGE_POLICIES)
@pytest.mark.parametrize(("num_steps", "length"), [(1, 1), (10, 3), (10, 1), (10, 20), (36, 6)])
def test_segments_come_back_last_to_first_with_their_states(storage, num_steps, length):
    trajectory = new_trajectory(storage, num_steps)
    segments = record(trajectory, num_steps, length)
    seen = list(trajectory.backwards(counting))
    assert [entry.segment for entry in seen] == segments[::-1]
    for segment, context, stack in seen:
        assert int(context) == segment.start
        want = np.arange(segment.start, segment.start + segment.length)
        np.testing.assert_array_equal(stack.weights[0], np.repeat(want[:, None], 5, axis=1))
        assert stack.slots == ()
        assert stack.variables == []
    assert list(trajectory.backwards(counting)) == []
    trajectory.close()


@pytest.mark.parametrize("storage", ["memory", "host", "disk"])
def test_bytes_of_all_states(storage):
    trajectory = new_trajectory(storage, 10)
    record(trajectory, 10, 3)
    assert trajectory.nbytes == 10 * 5 * 4
    trajectory.close()


@pytest.mark.parametrize("num_steps", [1, 2, 99, 100, 101, 900])
@pytest.mark.parametrize("length", [1, None, 20])
def test_recompute_holds_about_twice_the_square_root(num_steps, length):
    root = np.sqrt(num_steps)
    length = length or default_segment_length("recompute", num_steps)
    trajectory = new_trajectory("recompute", num_steps)
    record(trajectory, num_steps, length)
    for _ in trajectory.backwards(counting):
        pass
    state = 5 * 4
    # A block ends with the segment that reaches √T: it is longer by less than one segment.
    assert trajectory.nbytes <= (2 * root + min(length, num_steps) + 2) * state
    if num_steps == 900:
        assert trajectory.nbytes <= 0.1 * num_steps * state
        assert trajectory.nbytes >= 1.9 * root * state


def test_recompute_lets_a_block_go_before_it_runs_the_next():
    trajectory = RecomputeTrajectory(4)
    record(trajectory, 16, 2)
    ran, blocks = [], []

    def forward(segment, state, context):
        ran.append(segment.start)
        return counting(segment, state, context)

    for entry in trajectory.backwards(forward):
        blocks.append((entry.segment.start, list(ran)))
    assert [start for start, _ in blocks] == [14, 12, 10, 8, 6, 4, 2, 0]
    assert blocks[0][1] == [12, 14]
    assert blocks[2][1] == [12, 14, 8, 10]
    assert blocks[-1][1] == [12, 14, 8, 10, 4, 6, 0, 2]


def all_dtypes() -> StudentState:
    rng = np.random.default_rng(0)
    dtypes = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64, tf.uint8)
    tensors = [tf.cast(rng.integers(100, size=(3, 2)) / 2, dtype) for dtype in dtypes]
    slots = ([tf.constant([True, False, True])], {"count": tf.constant([1, 2, 3], tf.uint32)})
    return StudentState(tensors, slots, [tf.zeros([3, 0]), tf.ones([3, 1, 2])])


@pytest.mark.parametrize("storage", ["host", "disk"])
def test_tensors_of_every_dtype_and_shape_come_back(storage):
    trajectory, stack = new_trajectory(storage, 3), all_dtypes()
    trajectory.record(Segment(0, 3), (), stack, stack)
    assert (
        trajectory.nbytes == nbytes(stack) == sum(t.numpy().nbytes for t in tf.nest.flatten(stack))
    )
    ((_, _, got),) = trajectory.backwards(counting)
    tf.nest.assert_same_structure(got, stack)
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(stack), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    trajectory.close()


def folders(path: pathlib.Path) -> list[pathlib.Path]:
    return list(path.glob("tf_l2t_trajectory_*"))


def test_disk_makes_files_and_removes_each_with_its_segment(tmp_path):
    trajectory = DiskTrajectory(str(tmp_path))
    assert not folders(tmp_path)
    record(trajectory, 10, 2)
    (folder,) = folders(tmp_path)
    assert sum(file.stat().st_size for file in folder.iterdir()) == 10 * 5 * 4
    left = [len(list(folder.glob("0*"))) for _ in trajectory.backwards(counting)]
    assert left == [4, 3, 2, 1, 0]
    trajectory.close()
    assert not folders(tmp_path)
    trajectory.close()


def test_disk_removes_its_files_when_it_is_forgotten(tmp_path):
    trajectory = DiskTrajectory(str(tmp_path))
    record(trajectory, 4, 2)
    assert folders(tmp_path)
    del trajectory
    gc.collect()
    assert not folders(tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    code = (
        "import os, signal, sys; from tf_l2t.differentiation import scratch\n"
        "scratch.new_scratch_directory(sys.argv[1]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    (abandoned,) = folders(tmp_path)
    (tmp_path / "tf_l2t_trajectory_of_mine").mkdir()
    alive, other = DiskTrajectory(str(tmp_path)), DiskTrajectory(str(tmp_path))
    record(alive, 4, 2)
    assert not abandoned.exists()
    record(other, 4, 2)
    assert len(folders(tmp_path)) == 3
    alive.close()
    other.close()
    assert [folder.name for folder in folders(tmp_path)] == ["tf_l2t_trajectory_of_mine"]


def test_an_error_closes_the_trajectory(tmp_path):
    trajectory = DiskTrajectory(str(tmp_path))
    record(trajectory, 4, 2)
    assert folders(tmp_path)
    with pytest.raises(KeyboardInterrupt), trajectory.closed_on_error():
        raise KeyboardInterrupt
    assert not folders(tmp_path)
    with DiskTrajectory(str(tmp_path)).closed_on_error():
        pass


def test_policies_by_name():
    for storage in STORAGE_POLICIES:
        check_storage(storage)
    with pytest.raises(ValueError, match="storage must be one of .*'recompute'.*, got 'tape'"):
        new_trajectory("tape", 3)


@pytest.mark.parametrize(
    ("storage", "num_steps", "length"),
    [("memory", 1, 50), ("disk", 2500, 50), ("host", 2501, 51), ("recompute", 1, 1)]
    + [("recompute", 9, 3), ("recompute", 10, 4), ("recompute", 8600, 93), ("recompute", 0, 1)],
)
def test_default_segment_length(storage, num_steps, length):
    assert default_segment_length(storage, num_steps) == length
