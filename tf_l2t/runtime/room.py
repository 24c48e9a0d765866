"""What a run has to work with: devices, and the memory and disk that are free here."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import tensorflow as tf
from tensorflow.python.client import device_lib

from tf_l2t.differentiation.plan import Room

_PROC = pathlib.Path("/proc")
_CGROUP = pathlib.Path("/sys/fs/cgroup")
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_IN_MEMORY = ("tmpfs", "ramfs")


def room() -> Room:
    """Returns what is free now, where trajectories would be."""
    folder = pathlib.Path(tempfile.gettempdir())
    return Room(free_memory(), _free_accelerator(), free_disk(folder))


def hardware() -> list[str]:
    """Returns what trains the students: the names of the GPUs, without any the number of cores.

    With cores goes the setting of oneDNN where there is one, which decides how fast they are.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        affinity = getattr(os, "sched_getaffinity", None)
        count = len(affinity(0)) if affinity else os.cpu_count()
        setting = os.environ.get(_ONEDNN)
        cores = f"CPU, {count} {'core' if count == 1 else 'cores'}"
        return [cores if setting is None else f"{cores}, {_ONEDNN}={setting}"]
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [each.get("device_name", gpu.name) for each, gpu in zip(details, gpus, strict=True)]


def free_memory() -> int:
    """Returns the bytes of memory that this process may take without anything being swapped.

    The least of what the machine has and what the limits of the control groups leave, which is
    how containers and batch systems limit memory. Where the system tells neither, as on macOS,
    all the memory that the machine has.
    """
    found = [_available(), *_left_of_limits()]
    known = [count for count in found if count is not None]
    return min(known) if known else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_disk(folder: pathlib.Path) -> int:
    """Returns the bytes that are free for files in a folder; 0 where its files are in memory."""
    return 0 if _file_system(folder) in _IN_MEMORY else shutil.disk_usage(folder).free


def _available() -> int | None:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left_of_limits() -> list[int]:
    """Returns what each control group that has a limit leaves, of both versions of them."""
    left = []
    for line in _lines(_PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _CGROUP / "memory" if controllers else _CGROUP
        limit, usage, files = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        # In a container the path may be that of the host, while the root is the container's own.
        inner = root / path.lstrip("/")
        for group in {root, inner, *(each for each in inner.parents if root in each.parents)}:
            most, taken = _number(group / limit), _number(group / usage)
            if most is not None and taken is not None:
                # Pages of files that nobody uses are given back before the limit is felt.
                cached = dict(row.split() for row in _lines(group / "memory.stat")).get(files, 0)
                left.append(max(0, most - taken + int(cached)))
    return left


def _free_accelerator() -> int | None:
    if not tf.config.list_physical_devices("GPU"):
        return None
    free = []
    for device in device_lib.list_local_devices():
        if device.device_type == "GPU":
            name = device.name.removeprefix("/device:")
            taken = tf.config.experimental.get_memory_info(name)["current"]
            free.append(device.memory_limit - taken)
    return min(free)


def _file_system(folder: pathlib.Path) -> str | None:
    """Returns the type of the file system that a folder is on, None where nothing tells it."""
    place = folder.resolve()
    found: dict[pathlib.Path, str] = {}
    for line in _lines(_PROC / "self" / "mounts"):
        _, point, kind, *_ = line.split()
        found[pathlib.Path(point.replace("\\040", " "))] = kind
    return next((found[each] for each in (place, *place.parents) if each in found), None)


def _number(path: pathlib.Path) -> int | None:
    (text,) = _lines(path) or [""]
    return int(text) if text.strip().isdecimal() else None


def _lines(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
