"""What a run says of itself before it begins."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import arrays
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.plan import AUTO, Room
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.losses import DynamicBilinear
from tf_l2t.losses.base import Loss
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.runtime import plan
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.training.budget import Budget
from tf_l2t.training.pace import Pace

# 16 pixels, 3 classes.
STEP_BYTES = 4 * (16 * 3 + 3)
RULE = SGD(0.1, momentum=0.9)


@pytest.fixture
def planned(monkeypatch):
    """Returns what plans students of 100 steps, warm start aside, where so much is free."""

    images, labels = np.zeros([20, 4, 4, 1], np.uint8), np.arange(20) % 3
    source = arrays(images, labels, images, labels)
    task = Classification(source, logistic_regression, ExpectedAccuracy(), batch_size=2, dev_size=9)

    def make(
        storage: str, room: Room, truncate: int | None = None, loss: Loss | None = None
    ) -> plan.TrajectoryPlan:
        monkeypatch.setattr(plan, "room", lambda: room)
        budget = Budget(120, warm_start_steps=20, observe_every=10)
        loss = loss or DynamicBilinear()
        return plan.plan_trajectory(storage, task, loss, RULE, budget, truncate, Replicas())

    return make


def test_the_trajectory_of_a_task(planned) -> None:
    found = planned(AUTO, Room(10**9, None, 10**9))
    assert (found.storage, found.weights, found.num_steps) == ("memory", 51, 100)
    assert (found.state.saved, found.state.whole) == (STEP_BYTES, 2 * STEP_BYTES)
    assert found.describe() == {
        "storage": "memory",
        "bytes_a_step": STEP_BYTES,
        "recorded_steps": 100,
        "students_side_by_side": 1,
        "peak_bytes": 110 * STEP_BYTES,
        "disk_bytes": 0,
    }
    assert str(found) == (
        'storage "memory", 0.2 kB a step: 22.4 kB in memory (1.0 GB of memory are free)'
    )
    assert planned(AUTO, Room(10**9, None, 0), truncate=7).num_steps == 7


class Counting(DynamicBilinear):
    """A taught loss with a state of its own."""

    def initial_state(self, num_classes, seed):
        return (tf.zeros([num_classes, 5]),)


def test_the_state_of_a_loss_is_counted(planned) -> None:
    found = planned(AUTO, Room(10**9, None, 10**9), loss=Counting())
    assert (found.state.saved, found.state.whole) == (STEP_BYTES + 60, 2 * STEP_BYTES + 60)


def test_less_room_gives_another_policy_and_too_little_an_error(planned) -> None:
    found = planned(AUTO, Room(2 * 40 * STEP_BYTES, None, 0))
    assert found.storage == "recompute"
    found.check()
    found = planned(AUTO, Room(2 * 20 * STEP_BYTES, None, 10**9))
    assert found.storage == "disk"
    assert "4.1 kB in memory, 20.4 kB of files (8.2 kB of memory and 1.0 GB on disk" in str(found)
    found = planned(AUTO, Room(100, None, 100))
    message = r"no room .* 100 steps of 0.2 kB: .* 8.2 kB, .*0.1 kB of memory.*Experiment.truncate"
    with pytest.raises(ValueError, match=message):
        found.check()


def test_a_policy_that_was_asked_for_is_taken_and_warned_of(planned) -> None:
    for storage in ("memory", "host", "disk", "recompute"):
        found = planned(storage, Room(100, None, 100))
        found.check()
        assert found.storage == found.engine_storage == storage
        assert "it may not fit" in str(found)
    with pytest.raises(ValueError, match="storage must be one of auto, .*, got 'cloud'"):
        planned("cloud", Room(100, None, 100))


class Cluster:
    """Stands for the workers of three machines, two of them on one."""

    def __init__(self, rooms):
        self.rooms = rooms

    def gather(self, value):
        assert len(value) == 4
        return [["a", *self.rooms[0]], ["b", *self.rooms[1]], ["b", *self.rooms[2]]]


def test_workers_decide_by_the_one_with_the_least_room() -> None:
    rooms = [Room(100, 7, 90), Room(160, 6, 500), Room(170, None, 500)]
    assert plan._least(rooms[1], Cluster(rooms)) == Room(80, 6, 90)


def test_the_time_that_a_run_will_take(planned, monkeypatch, capsys) -> None:
    trajectory = planned(AUTO, Room(10**9, None, 10**9))
    monkeypatch.setattr(plan, "measure_pace", lambda *_: Pace(forward=0.5, reverse=2.0))
    workers = SimpleNamespace(index=0)
    comparison = SimpleNamespace(work=lambda: (1000, 3000), kept_steps=700, workers=workers)
    trainer = SimpleNamespace(
        work=lambda: (6000, 0),
        steps_in_reverse=2500,
        planned=SimpleNamespace(kept=300),
        teaching=None,
        theta=[],
    )
    results = {"search": {}}
    plan.announce(results, comparison, trajectory, trainer)
    assert results["plan"]["seconds"] == 0.5 * (10_000 - 2500 - 1000) + 2.0 * 2500
    assert results["plan"]["student_steps"] == {"search": 1000, "teacher": 6000, "comparison": 3000}
    assert results["plan"]["storage"] == "memory"
    said = capsys.readouterr().out
    assert "about 2 hours" in said
    assert str(trajectory) in said
    # A run that goes on keeps what was found, and does not rehearse again.
    results["search"] = {"taught": {"1": 0.9}}
    plan.announce(results, comparison, trajectory, trainer)
    assert results["plan"]["seconds"] == 0.5 * (10_000 - 2500 - 1000) + 2.0 * 2500
    assert "about" not in capsys.readouterr().out
    # Where no teacher is trained there is no trajectory; only the chief speaks.
    workers.index = 1
    plan.announce(results := {"search": {}}, comparison, trajectory)
    assert results["plan"]["student_steps"]["teacher"] == 0
    assert "storage" not in results["plan"]
    assert not capsys.readouterr().out
