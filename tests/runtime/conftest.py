"""Reads event files back, without the code that is tested."""

import pathlib
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

Runs = dict[str, dict[tuple[str, int], list[np.ndarray]]]


@pytest.fixture
def events_of() -> Callable[[pathlib.Path], Runs]:
    """Returns a reader of a directory: run -> (tag, step) -> all that was written there."""

    def read(directory: pathlib.Path) -> Runs:
        found: Runs = defaultdict(lambda: defaultdict(list))
        for path in sorted(directory.rglob("events.*")):
            run = path.parent.relative_to(directory).as_posix()
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    found[run][value.tag, event.step].append(tf.make_ndarray(value.tensor))
        return found

    return read
