"""What a run directory holds, as digests, without what differs between two equal runs.

Left out: times ("seconds", the column of them in the tables, the wall time of TensorBoard's
events), the checksum of results.json, the names of event files and how many there are, the lock,
the files of the SavedModel but its parameters with their digests, `resumed_with` and `resumed_on`,
and the plan: what memory is free, and so which storage is taken, may have changed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

LEFT_OUT = ("seconds", "table", "checksum", "resumed_with", "resumed_on", "sha256", "plan")


def digests(run: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of every part of a run, by its name."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_dir() or path.name == ".lock" or path.suffix in (".pb", ".data-00000-of-00001"):
            continue
        if name == "comparison.md":
            found[name] = [line.rsplit("|", 2)[0] for line in path.read_text().splitlines()]
        elif path.suffix == ".csv":
            rows = list(csv.DictReader(path.read_text().splitlines()))
            found[name] = [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]
        elif path.suffix == ".json":
            found[name] = _without(json.loads(path.read_text()))
        elif path.suffix == ".npz":
            found |= {f"{name}: {part}": value for part, value in _arrays(path).items()}
        elif path.suffix == ".index":
            reader = tf.train.load_checkpoint(str(path.with_suffix("")))
            for part in reader.get_variable_to_shape_map():
                if not part.startswith("_"):
                    found[f"{name}: {part}"] = _array(np.asarray(reader.get_tensor(part)))
        elif "tfevents" in path.name:
            for event in _events(path):
                found[f"{path.parent.relative_to(run)}: {event[:2]}"] = event[2]
        else:
            found[name] = path.read_bytes()
    return {name: hashlib.sha256(repr(value).encode()).hexdigest() for name, value in found.items()}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if k not in LEFT_OUT}
    return [_without(item) for item in value] if isinstance(value, list) else value


def _arrays(path: pathlib.Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: _array(archive[name]) for name in archive.files}
        if "record" in archive.files:
            arrays["record"] = _without(json.loads(archive["record"].tobytes().decode()))
    return arrays


def _array(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _events(path: pathlib.Path) -> list[tuple[str, int, bytes]]:
    """Returns (tag, step, value) of every event that is whole."""
    found = []
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [
                (v.tag, event.step, v.tensor.SerializeToString())
                for v in event.summary.value
                if "seconds" not in v.tag
            ]
    except tf.errors.DataLossError:
        pass  # a kill may cut the last event; the step that it belongs to is done again
    return found
