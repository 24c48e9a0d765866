"""Whatever happens to a checkpoint file, what it held comes back exactly or not at all."""

import numpy as np
import pytest

from tf_l2t.runtime.checkpoints import Checkpoints, CorruptCheckpointError

ARRAYS = {"theta/0": np.arange(6.0).reshape(2, 3), "optimizer/0": np.array(3, np.int64)}


@pytest.fixture
def newest(tmp_path):
    """Writes two checkpoints, and returns the newer one and what reads them."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, ARRAYS, {"step": 1})
    checkpoints.save(2, ARRAYS, {"step": 2})
    return tmp_path / "teacher-00000002.npz", checkpoints


def test_every_cut(newest) -> None:
    path, checkpoints = newest
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert checkpoints.newest()[1] == {"step": 1}, length


def test_every_flip(newest) -> None:
    path, checkpoints = newest
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        arrays, record = checkpoints.newest()
        refused += record == {"step": 1}
        assert arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array)
            assert arrays[name].dtype == array.dtype
    # The rest are dates and other fields of the archive that nobody reads.
    assert refused > 0.7 * len(whole)


@pytest.mark.parametrize("change", [{"theta/1": np.zeros(2)}, {"theta/0": None}])
def test_arrays_that_are_missing_or_too_many(newest, change) -> None:
    path, checkpoints = newest
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | change
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})
    assert checkpoints.newest()[1] == {"step": 1}


def test_one_that_does_not_fit_gives_way_to_the_one_before_and_goes(newest) -> None:
    path, checkpoints = newest

    def take(arrays, record) -> None:
        if record["step"] == 2:
            raise ValueError("of another teacher")

    assert checkpoints.newest(take)[1] == {"step": 1}
    assert path.exists()
    checkpoints.save(3, ARRAYS, {"step": 3})
    assert not path.exists()
    with pytest.raises(CorruptCheckpointError, match="none of the 2"):
        checkpoints.newest(lambda arrays, record: {}["nothing"])
