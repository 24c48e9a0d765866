"""What a benchmark needs beside the thing it measures: clocks, peak memory, the machine.

Knows nothing of tf_l2t.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


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


def take_turns(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of each of some calls, which take turns, each time with another first."""
    order = list(ways)
    times: dict[str, list[float]] = {name: [] for name in order}
    for repeat in range(repeats):
        say(f"repeat {repeat + 1} of {repeats}")
        gc.collect()
        for name in order:
            times[name].append(seconds(ways[name]))
        order.append(order.pop(0))
    return times


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
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "accelerators": [
            tf.config.experimental.get_device_details(device).get("device_name", device.name)
            for device in tf.config.list_physical_devices("GPU")
        ],
    }
