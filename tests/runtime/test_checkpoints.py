import numpy as np
import pytest

from tf_l2t.runtime.checkpoints import Checkpoints, CorruptCheckpointError

ARRAYS = {"theta/0": np.arange(6.0).reshape(2, 3), "optimizer/0": np.array(3, np.int64)}
RECORD = {"history": [{"measure": 0.5, "norm": None}], "text": "Φ"}


def test_a_checkpoint_comes_back_as_it_was(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path / "new")
    checkpoints.save(3, ARRAYS, RECORD)
    arrays, record = checkpoints.newest()
    assert record == RECORD
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_none_is_none(tmp_path) -> None:
    assert Checkpoints(tmp_path / "nowhere").newest() is None


def test_only_the_newest_are_kept(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 10, 9):
        checkpoints.save(step, ARRAYS, {"step": step})
    assert checkpoints.newest()[1] == {"step": 10}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_cut_anywhere_gives_way_to_the_one_before(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, ARRAYS, {"step": 1})
    checkpoints.save(2, ARRAYS, {"step": 2})
    newest = max(tmp_path.iterdir())
    whole = newest.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        newest.write_bytes(whole[:length])
        assert checkpoints.newest()[1] == {"step": 1}, length
    flipped = bytearray(whole)
    flipped[whole.index(ARRAYS["theta/0"].tobytes()) + 8] ^= 1
    newest.write_bytes(flipped)
    assert checkpoints.newest()[1] == {"step": 1}


def test_no_readable_checkpoint_is_an_error_that_tells_the_remedy(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, ARRAYS, {})
    max(tmp_path.iterdir()).write_bytes(b"")
    with pytest.raises(CorruptCheckpointError, match="none of the 1 checkpoints.*--overwrite"):
        checkpoints.newest()


def test_pickled_objects_are_not_executed(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    np.savez(tmp_path / "teacher-00000001.npz", record=np.array([print], dtype=object))
    with pytest.raises(CorruptCheckpointError):
        checkpoints.newest()
