"""Event files of TensorBoard: reading them, and taking back what a killed process wrote."""

from __future__ import annotations

import logging
import pathlib
import socket
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorboard.summary.writer.record_writer import RecordWriter

from tf_l2t.runtime.files import atomic_writer

_NAME = "events.out.tfevents.*"


def read_tensors(directory: pathlib.Path, tag: str) -> dict[int, np.ndarray]:
    """Returns what was written under a tag in one run, by step.

    Args:
        directory: of the run; those below it are other runs.
        tag: for example "phi/raw".
    """
    found = {}
    for path in sorted(directory.glob(_NAME)):
        for record in _whole_records(path):
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                if value.tag == tag:
                    found[event.step] = tf.make_ndarray(value.tensor)
    return found


def forget_from(directory: pathlib.Path, step: int) -> None:
    """Takes out of all runs at and below a directory what was written for a step or later ones.

    A process that goes on from a checkpoint writes these again. Event files can only grow, so
    that those with something to take out, or with an end that was cut off, are written anew.

    Args:
        directory: need not exist.
        step: the first that is forgotten.
    """
    # A kill in the middle of what follows leaves a file that TensorBoard would read too.
    for leftover in directory.rglob(f".{_NAME}"):
        leftover.unlink()
    paths = list(directory.rglob(_NAME))
    for path in paths:
        records = list(_whole_records(path))
        kept = [record for record in records if _is_kept(record, step)]
        if not any(tf.compat.v1.Event.FromString(record).summary.value for record in kept):
            path.unlink()
            continue
        # 16 bytes frame a record: its length and two checksums.
        if len(kept) < len(records) or path.stat().st_size > sum(len(r) + 16 for r in kept):
            with atomic_writer(path) as file:
                writer = RecordWriter(file)
                for record in kept:
                    writer.write(record)
    for run in {path.parent for path in paths}:
        _tell_of_restart(run, step)


def _is_kept(record: bytes, step: int) -> bool:
    event = tf.compat.v1.Event.FromString(record)
    return event.step < step or not event.summary.value


def _tell_of_restart(run: pathlib.Path, step: int) -> None:
    """Lets a TensorBoard that read the steps already, and is still running, forget them too."""
    # The name comes after those that are there, and before those that follow: process 0 is none.
    now = time.time()
    name = f"{_NAME.removesuffix('*')}{int(now):010d}.{socket.gethostname()}.0.0.v2"
    log = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
    with atomic_writer(run / name) as file:
        writer = RecordWriter(file)
        # The first start that TensorBoard reads of a run is none to it.
        for event in (
            tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2"),
            tf.compat.v1.Event(wall_time=now, step=step, session_log=log),
            tf.compat.v1.Event(wall_time=now, step=step, session_log=log),
        ):
            writer.write(event.SerializeToString())


def _whole_records(path: pathlib.Path) -> Iterator[bytes]:
    try:
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    except tf.errors.DataLossError:
        logging.info("The end of %s was cut off.", path)
