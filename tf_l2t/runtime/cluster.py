"""What the workers of a cluster tell each other outside of training."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import gin
import numpy as np

from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.differentiation.workers import Workers
from tf_l2t.runtime.checkpoints import decode, encode
from tf_l2t.runtime.run_directory import versions


class SetupError(RuntimeError):
    """Workers of a cluster that are about to run different things."""


class DisagreementError(RuntimeError):
    """Workers of a cluster that ran the same and do not hold the same."""


Checkpoint = tuple[dict[str, np.ndarray], dict[str, Any]]


def chiefs_checkpoint(workers: Workers, checkpoint: Checkpoint | None) -> Checkpoint | None:
    """Returns the checkpoint that the chief read; only its storage needs to hold any."""
    if workers.count == 1:
        return checkpoint
    data = workers.broadcast(encode(*checkpoint) if checkpoint else b"")
    return decode(data) if data else None


def chiefs_json(workers: Workers, value: Any) -> Any:
    """Returns the JSON value that the chief has."""
    return json.loads(workers.broadcast(json.dumps(value).encode()))


def check_same_setup(replicas: Replicas, data: dict[str, Any]) -> None:
    """Has the workers compare what they are about to run, and on what.

    Args:
        replicas: of the cluster.
        data: what the run cannot go on without, as JSON has it.

    Raises:
        SetupError: on every worker, naming what differs.
    """
    workers = replicas.workers
    setup = {
        "data": data,
        "configuration": gin.operative_config_str(),
        "versions": versions(),
        "devices": len(replicas.devices),
    }
    digest = lambda value: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    found = workers.gather({name: digest(value) for name, value in setup.items()})
    for index, theirs in enumerate(found):
        differing = [name for name in setup if theirs[name] != found[0][name]]
        if differing:
            raise SetupError(
                f"worker {index} differs from worker 0 in {', '.join(differing)}; "
                "start all workers with the same command, versions, data and number of devices."
            )


def check_agreement(workers: Workers, arrays: dict[str, np.ndarray]) -> None:
    """Has every worker take part in a checkpoint: they must hold the same.

    Raises:
        DisagreementError: on every worker, if one holds something else than the chief.
    """
    if workers.count == 1:
        return
    state = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        state.update(name.encode() + np.ascontiguousarray(array).tobytes())
    digests = workers.gather(state.hexdigest())
    others = [k for k, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise DisagreementError(
            f"the workers {others} hold other parameters of the teacher than worker 0, which "
            "should not be; start all again: the run goes on from the last checkpoint."
        )
