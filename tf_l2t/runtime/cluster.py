"""What the workers of a cluster tell each other outside of training."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from tf_l2t.differentiation.workers import Workers
from tf_l2t.runtime.checkpoints import decode, encode

Checkpoint = tuple[dict[str, np.ndarray], dict[str, Any]]


def chiefs_checkpoint(workers: Workers, checkpoint: Checkpoint | None) -> Checkpoint | None:
    """Returns the checkpoint that the chief read; only its storage needs to hold any."""
    data = workers.broadcast(encode(*checkpoint) if checkpoint else b"")
    return decode(data) if data else None


def chiefs_json(workers: Workers, value: Any) -> Any:
    """Returns the JSON value that the chief has."""
    return json.loads(workers.broadcast(json.dumps(value).encode()))


def check_agreement(workers: Workers, arrays: dict[str, np.ndarray]) -> None:
    """Has every worker take part in a checkpoint: they must hold the same.

    Raises:
        RuntimeError: on every worker, if one holds something else than the chief.
    """
    state = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        state.update(name.encode() + np.ascontiguousarray(array).tobytes())
    digests = workers.gather(state.hexdigest())
    others = [k for k, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise RuntimeError(
            f"the workers {others} hold other parameters of the teacher than worker 0; have all "
            "run the same versions and the same configuration, and start them again."
        )
