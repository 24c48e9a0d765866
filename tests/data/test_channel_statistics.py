import numpy as np
import pytest

from tf_l2t.data import channel_statistics


@pytest.mark.parametrize("count", [1, 999, 2001])
def test_they_are_those_of_numpy(count) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, 2, 3)).astype(np.uint8)
    axes = (0, 1, 2)
    floats = images / 255.0
    np.testing.assert_allclose(channel_statistics(images), [floats.mean(axes), floats.std(axes)])
    shifted = (100 + floats).astype(np.float32)
    want = [shifted.mean(axes, dtype=float), shifted.std(axes, dtype=float)]
    np.testing.assert_allclose(channel_statistics(shifted), want)
