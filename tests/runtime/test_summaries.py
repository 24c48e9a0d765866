import numpy as np
import tensorflow as tf

from tf_l2t.runtime.summaries import Summaries


def events_of(directory) -> dict[tuple[str, int], tf.Tensor]:
    found = {}
    for path in sorted(directory.rglob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag, event.step] = tf.make_ndarray(value.tensor)
    return found


def test_what_is_written_can_be_read_back(tmp_path) -> None:
    phi = np.array([[0.2, 0.01], [-0.03, 0.4]], np.float32)
    summaries = Summaries(tmp_path, ("cat", "dog"))
    summaries.scalars("teacher", 7, {"dev/measure": 0.25, "dev/selection": None})
    summaries.coefficients("student", 3, {"phi": phi, "bias": np.float32(0.5)})
    summaries.close()
    events = events_of(tmp_path)
    assert events["dev/measure", 7] == 0.25
    assert ("dev/selection", 7) not in events
    np.testing.assert_array_equal(events["phi/raw", 3], phi)
    np.testing.assert_allclose(events["phi/diagonal_mean", 3], 0.3)
    np.testing.assert_allclose(events["phi/off_diagonal_min", 3], -0.03)
    width, height, png = events["phi/heat_map", 3]
    image = tf.io.decode_png(png)
    assert image.shape == (int(height), int(width), 3)
    assert len(np.unique(image)) > 20
    assert events["bias/raw", 3] == 0.5
