"""What is free, as the files of the system tell it."""

import pathlib
import shutil
import types

import pytest

from tf_l2t.runtime import room


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Returns what writes the files of a system with 100,000 kB of available memory."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    monkeypatch.setattr(room, "_PROC", proc)
    monkeypatch.setattr(room, "_CGROUP", groups)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write({"proc/meminfo": "MemTotal: 200000 kB\nMemAvailable: 100000 kB", "proc/self/cgroup": ""})
    return write


def test_this_machine() -> None:
    free = room.room()
    assert free.memory > 0
    assert free.disk >= 0


def test_hardware_is_named_without_and_with_gpus(monkeypatch) -> None:
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda process: {3}, raising=False)
    monkeypatch.setattr(room.tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert room.hardware() == ["CPU, 1 core"]
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert room.hardware() == ["CPU, 1 core, TF_ENABLE_ONEDNN_OPTS=1"]

    gpus = [types.SimpleNamespace(name=f"/physical_device:GPU:{k}") for k in range(2)]
    names = {gpus[0].name: {"device_name": "NVIDIA H100"}, gpus[1].name: {}}
    monkeypatch.setattr(room.tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        room.tf.config.experimental, "get_device_details", lambda gpu: names[gpu.name]
    )
    assert room.hardware() == ["NVIDIA H100", "/physical_device:GPU:1"]


def test_a_machine_without_limits(system) -> None:
    assert room.free_memory() == 100_000 * 1024


def test_the_limit_of_a_control_group(system) -> None:
    system(
        {
            "proc/self/cgroup": "0::/job/step",
            "cgroup/job/memory.max": "9000",
            "cgroup/job/memory.current": "5000",
            "cgroup/job/memory.stat": "anon 3000\ninactive_file 1500\nactive_file 400",
            "cgroup/job/step/memory.max": "max",
            "cgroup/job/step/memory.current": "100",
        }
    )
    assert room.free_memory() == 9000 - 5000 + 1500
    system({"cgroup/job/step/memory.max": "130"})
    assert room.free_memory() == 30
    system({"cgroup/job/step/memory.current": "140"})
    assert room.free_memory() == 0


def test_the_limit_of_a_control_group_of_the_first_version(system) -> None:
    system(
        {
            "proc/self/cgroup": "4:cpu,memory:/docker/host/path\n1:cpu:/\n0::/",
            # In a container the root is its own group, whatever the path of the host.
            "cgroup/memory/memory.limit_in_bytes": "9000",
            "cgroup/memory/memory.usage_in_bytes": "5000",
            "cgroup/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 1000",
        }
    )
    assert room.free_memory() == 5000


def test_a_system_that_tells_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(room, "_PROC", tmp_path / "none")
    assert room.free_memory() > 0
    assert room.free_disk(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)


def test_files_that_are_in_memory_give_no_room(system, tmp_path) -> None:
    folder = pathlib.Path(tmp_path, "a b")
    folder.mkdir()
    mounts = f"disk / ext4 rw 0 0\nnone {tmp_path}/a\\040b tmpfs rw 0 0"
    system({"proc/self/mounts": mounts})
    assert room.free_disk(folder) == 0
    assert room.free_disk(tmp_path) > 0
