"""What is taught does not depend on the devices and workers that it is spread over."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from clusters import clusters

from tf_l2t.differentiation.replicas import Each, Replicas
from tf_l2t.differentiation.workers import Workers
from tf_l2t.runtime.strategy import Distribution

PROGRAM = pathlib.Path(__file__).parent / "spread.py"


def outputs_of(strategy: str, environments: list[dict[str, str]]) -> list[dict[str, Any]]:
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), strategy],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments
    ]
    try:
        outputs = [process.communicate(timeout=900) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return outputs_of("none", [{}])[0]["none"]


def assert_same(found: dict[str, Any], alone: dict[str, Any], relative: float) -> None:
    assert "gradients" in found
    for name, values in found.items():
        expected = alone[name]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(values, expected, atol=relative * scale, err_msg=name)


def test_two_devices_of_a_machine(alone) -> None:
    (found,) = outputs_of("mirrored", [{}])
    assert {"students", "batch", "students recompute", "batch recompute"} <= set(found)
    assert set(found["students"]) == set(found["batch"]) == set(alone)
    for how, values in found.items():
        assert_same(values, alone, 1e-5 if "jit" in how else 1e-6)


def test_deep_students_on_two_devices() -> None:
    (found,) = outputs_of("deep", [{}])
    for name in ("lenet", "resnet", "wide_resnet", "densenet"):
        assert np.abs(found[f"{name} alone"]["gradients"]).max() > 0
        assert_same(found[f"{name} students"], found[f"{name} alone"], 1e-5)
    assert_same(found["lenet batch"], found["lenet alone"], 1e-5)


def test_two_workers(alone) -> None:
    chief, other = outputs_of("multi_worker", clusters(2))
    for how in ("students", "batch"):
        assert set(chief[how]) == set(alone)
        assert_same(chief[how], alone, 1e-6)
        # Not one bit apart: they would drift from each other.
        assert chief[how]["theta"] == other[how]["theta"]


def test_without_a_strategy_there_is_one_replica() -> None:
    replicas = Distribution().replicas
    assert replicas.count == replicas.num_parts == replicas.students_at_once == 1
    assert replicas.share([7, 8]) == [[7], [8]]
    assert replicas.run(lambda a, b: a + b, 3, Each([4])) == [7]


@pytest.mark.parametrize(
    ("workers", "devices", "expected"),
    [
        (2, 1, [[[0], [2], [4]], [[1], [3], []]]),
        (2, 2, [[[0, 1], [4]], [[2, 3], []]]),
        (1, 3, [[[0, 1, 2], [3, 4]]]),
    ],
)
def test_students_are_dealt_out_evenly(workers, devices, expected) -> None:
    for index in range(workers):
        replicas = Replicas()
        replicas.devices = tuple(f"GPU:{k}" for k in range(devices))
        replicas.workers = Workers(workers, index)
        assert replicas.share(range(5)) == expected[index]


def test_a_single_worker_sends_nothing() -> None:
    workers = Workers()
    assert workers.sum([1.0]) == [1.0]
    assert workers.gather({"a": 1}) == [{"a": 1}]
    assert workers.broadcast(b"x") == b"x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "tpu"}, "strategy must be one of .*got 'tpu'"),
        ({"replicas": "both"}, "replicas must be one of .*got 'both'"),
        ({"devices": ["GPU:0"]}, "needs strategy='mirrored'"),
        ({"strategy": "mirrored", "devices": ["GPU:77"]}, r"no devices \['GPU:77'\]; here are"),
        ({"strategy": "multi_worker"}, "needs the environment variable TF_CONFIG"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message, monkeypatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=message):
        Distribution(**arguments)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "cannot be read"),
        ('{"cluster": {}}', "cannot be read"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}', "a task"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "workers only"),
    ],
)
def test_a_bad_cluster_is_refused(config, message, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=message):
        Distribution("multi_worker")
