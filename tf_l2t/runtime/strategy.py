"""The binding that spreads work over devices and machines: `tf.distribute`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import gin
import tensorflow as tf

from tf_l2t.checks import one_of
from tf_l2t.differentiation.replicas import Replicas

STRATEGIES = ("none", "mirrored", "multi_worker")
REPLICAS = ("students", "batch")


@gin.configurable(module="tf_l2t")
class Distribution:
    """Which devices work, and whether they share students or the batches of one student.

    Make it before anything else of TensorFlow: a cluster must be known from the start.

    Args:
        strategy: "none"; "mirrored", all GPUs of this machine (`MirroredStrategy`); or
            "multi_worker", several machines (`MultiWorkerMirroredStrategy`), each of which runs
            the same command with its own environment variable TF_CONFIG.
        replicas: "students": each replica teaches its own student, and hypergradients are
            averaged; nothing is sent within a rollout. "batch": all replicas train one student,
            each on its part of every batch; gradients and Hessian-vector products are summed.
        devices: for "mirrored", the devices to use, such as ("GPU:0", "GPU:1"); all if None.

    Raises:
        ValueError: for an unknown name, devices that are not there, or a TF_CONFIG that is
            missing or cannot be read.
    """

    def __init__(
        self,
        strategy: str = "none",
        replicas: str = "students",
        devices: Sequence[str] | None = None,
    ) -> None:
        for argument, value, known in (
            ("strategy", strategy, STRATEGIES),
            ("replicas", replicas, REPLICAS),
        ):
            one_of("Distribution", argument, value, known)
        if devices is not None and strategy != "mirrored":
            raise ValueError(
                f"Distribution: devices={devices!r} needs strategy='mirrored', got {strategy!r}."
            )
        self.replicas = Replicas(_make(strategy, devices), split_batches=replicas == "batch")


def _make(strategy: str, devices: Sequence[str] | None) -> tf.distribute.Strategy | None:
    if strategy == "none":
        return None
    if strategy == "mirrored":
        known = {
            device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()
        }
        unknown = [name for name in devices or () if name not in known]
        if unknown:
            raise ValueError(
                f"Distribution: there are no devices {unknown}; here are {sorted(known)}."
            )
        return tf.distribute.MirroredStrategy(list(devices) if devices else None)
    _check_cluster()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ValueError(
            "Distribution: strategy='multi_worker' must be made before anything else of "
            f"TensorFlow ({error})."
        ) from error


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG")
    example = (
        '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    if not text:
        raise ValueError(
            "Distribution: strategy='multi_worker' needs the environment variable TF_CONFIG on "
            f"every worker, such as {example}."
        )
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        valid = task["type"] == "worker" and 0 <= int(task["index"]) < len(workers)
        valid = valid and set(config["cluster"]) == {"worker"}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"TF_CONFIG cannot be read ({error!r}), got {text!r}; give, for example, {example}."
        ) from error
    if not valid:
        raise ValueError(
            f"TF_CONFIG must name workers only, and a task among them, got {text!r}; give, for "
            f"example, {example}."
        )
