"""What a benchmark needs beside the thing it measures: clocks, peak memory, Keras' `fit`.

Knows nothing of tf_l2t.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_STEPS_OF_A_TRIAL = 200
_STEPS_PER_EXECUTION = 50


def seconds(work: Callable[[], Any]) -> float:
    """Returns the wall time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def wait(tensors: Sequence[tf.Tensor]) -> None:
    """Waits for an accelerator to finish; a CPU has when it returns."""
    float(tf.reduce_sum(tensors[0]))


def say(message: str) -> None:
    """Says on stderr what is being done."""
    print(message, file=sys.stderr, flush=True)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns median, min and max."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Returns median, min and max of the quotients of two phases, repeat by repeat.

    The two were measured one right after the other, so that a machine that is slower for a while
    slows both.
    """
    return spread([a / b for a, b in zip(above, below, strict=True)])


def settle() -> None:
    """Gives back to the system what was freed, so that it is not taken for memory in use."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        return  # another C library than glibc, or none


def resident_bytes(key: str) -> int | None:
    """Returns VmRSS or VmHWM of this process, None on a system without /proc."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)


def peak_memory(work: Callable[[], Any]) -> dict[str, Any]:
    """Measures how far a call takes this process's memory beyond where it stands before.

    Returns:
        baseline_bytes: resident before the call, once free memory was given back.
        peak_bytes: the most that was resident during the call; an upper bound unless `reset`.
        beyond_baseline_bytes: the difference.
        reset: whether the system forgot earlier peaks before the call.
        accelerator_bytes: the same difference on the first GPU, None without one.

        None where the system does not tell.
    """
    settle()
    gpu = "GPU:0" if tf.config.list_physical_devices("GPU") else None
    if gpu:
        tf.config.experimental.reset_memory_stats(gpu)
        gpu_before = tf.config.experimental.get_memory_info(gpu)["current"]
    baseline = resident_bytes("VmRSS")
    reset = _reset_peak()
    work()
    peak = resident_bytes("VmHWM")
    known = baseline is not None and peak is not None
    return {
        "baseline_bytes": baseline,
        "peak_bytes": peak,
        "beyond_baseline_bytes": max(0, peak - baseline) if known else None,
        "reset": reset,
        "accelerator_bytes": (
            tf.config.experimental.get_memory_info(gpu)["peak"] - gpu_before if gpu else None
        ),
    }


def _reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def machine() -> dict[str, Any]:
    """Returns what a time depends on beside the code; `load` is that of the last minute."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": platform.platform(),
        "cpu": models[0] if models else platform.processor() or None,
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "accelerators": [
            tf.config.experimental.get_device_details(device).get("device_name", device.name)
            for device in tf.config.list_physical_devices("GPU")
        ],
    }


@dataclasses.dataclass(frozen=True)
class FitVariant:
    """One way of calling `keras.Model.fit`.

    Attributes:
        data: "tf.data", a pipeline over the uint8 images, or "numpy", float32 images in memory.
        steps_per_execution: steps of one call from Python.
        jit_compile: False, or Keras' default "auto": XLA where the model's layers allow it.
    """

    data: str = "tf.data"
    steps_per_execution: int = 1
    jit_compile: bool | str = False

    def __str__(self) -> str:
        """Returns it in words."""
        xla = "XLA" if self.jit_compile else "no XLA"
        steps = self.steps_per_execution
        return f"{self.data}, {steps} step{'s' * (steps > 1)} a call, {xla}"


class KerasFit:
    """Training with `keras.Model.fit`, called in the way that is fastest here.

    It starts from one step a call, tf.data and no XLA, and changes to in-memory numpy, to several
    steps a call and to XLA, each where a trial of at most 200 steps is faster for it.

    Args:
        model: a Keras classifier that returns logits.
        images: uint8 [examples, ...].
        labels: int32 [examples].
        batch_size: examples of a batch.
        num_steps: batches of a call of `fit`; one epoch to Keras.
        learning_rate: of SGD with momentum 0.9.

    Attributes:
        variant: the way that was chosen.
        trials: seconds a step of each way that was tried.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        num_steps: int,
        learning_rate: float,
    ) -> None:
        self._model = model
        self._images, self._labels = images, labels
        self._batch_size = batch_size
        self._learning_rate = learning_rate
        self.trials: dict[str, float] = {}
        self.variant = self._choose(num_steps)
        self._compile(self.variant)
        self._prepare(self.variant, min(num_steps, _STEPS_OF_A_TRIAL))()
        self._fit = self._prepare(self.variant, num_steps)

    def __call__(self) -> None:
        """Trains for `num_steps` batches more."""
        self._fit()

    def _choose(self, num_steps: int) -> FitVariant:
        changes: list[dict[str, Any]] = [
            {"steps_per_execution": min(num_steps, _STEPS_PER_EXECUTION)},
            {"jit_compile": "auto"},
        ]
        if num_steps * self._batch_size <= len(self._labels):
            changes.insert(0, {"data": "numpy"})
        best = FitVariant()
        fastest = self._try(best, num_steps)
        for change in changes:
            variant = dataclasses.replace(best, **change)
            took = self._try(variant, num_steps)
            if took < fastest:
                best, fastest = variant, took
        return best

    def _try(self, variant: FitVariant, num_steps: int) -> float:
        steps = min(num_steps, _STEPS_OF_A_TRIAL)
        self._compile(variant)
        fit = self._prepare(variant, steps)
        fit()
        took = min(seconds(fit) for _ in range(3)) / steps
        self.trials[str(variant)] = took
        return took

    def _compile(self, variant: FitVariant) -> None:
        self._model.compile(
            optimizer=keras.optimizers.SGD(self._learning_rate, momentum=0.9),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=variant.steps_per_execution,
            jit_compile=variant.jit_compile,
        )

    def _prepare(self, variant: FitVariant, num_steps: int) -> Callable[[], Any]:
        if variant.data == "tf.data":
            batches = self._pipeline(num_steps)
            return lambda: self._model.fit(batches, epochs=1, shuffle=False, verbose=0)
        count = num_steps * self._batch_size
        images, labels = self._images[:count].astype(np.float32) / 255, self._labels[:count]
        return lambda: self._model.fit(
            images, labels, batch_size=self._batch_size, epochs=1, shuffle=True, verbose=0
        )

    def _pipeline(self, num_steps: int) -> tf.data.Dataset:
        """Shuffles rows and not images, batches before it maps: no buffer of images to fill."""
        images, labels = tf.constant(self._images), tf.constant(self._labels)
        count, size = len(self._labels), self._batch_size

        def epoch(_: tf.Tensor) -> tf.data.Dataset:
            order = tf.random.shuffle(tf.range(count))[: count // size * size]
            return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [-1, size]))

        def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            inputs = tf.cast(tf.gather(images, rows), tf.float32) / 255
            return inputs, tf.gather(labels, rows)

        return (
            tf.data.Dataset.counter()
            .flat_map(epoch)
            .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
            .take(num_steps)
            .apply(tf.data.experimental.assert_cardinality(num_steps))
            .prefetch(tf.data.AUTOTUNE)
        )
