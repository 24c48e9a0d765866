import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tf_l2t.runtime.summaries import Summaries
from tf_l2t.runtime.taught_student import TaughtStudent
from tf_l2t.runtime.watch import Watch
from tf_l2t.training.teacher_trainer import TeacherStep

PHASES = ("rollout", "dev gradient", "reverse", "selection", "evaluation")


def record(step: int, **changes) -> TeacherStep:
    values = {
        "step": step,
        "measure": 0.5 + step,
        "score": 0.6,
        "norm": 0.1,
        "amplification": 2.0,
        "refused": (),
        "taken": True,
        "scale": 1.0,
        "selection": None,
        "seconds": dict.fromkeys(PHASES, 0.25),
    }
    return TeacherStep(**{**values, **changes})


def told(step: int, classes: int = 3) -> dict[str, np.ndarray]:
    phi = 0.2 * np.eye(classes) + 0.006
    phi[0, 2] -= 0.001 * step
    phi[1, 0] -= 0.004 * step
    return {"attention": np.float32([0.25, 0.75]), "phi": phi.astype("float32")}


def teach(summaries: Summaries, steps, classes: int = 3) -> None:
    for step in steps:
        moments = {name: told(step, classes) for name in ("begin", "middle", "end")}
        summaries.teacher_step(record(step), moments)


def student(classes: int = 3, times: int = 5) -> tuple[TaughtStudent, list[str]]:
    vectors = [np.full(3 + classes, k / times, "float32") for k in range(times)]
    names = [f"feature {k}" for k in range(3 + classes)]
    steps = [10 * k for k in range(times)]
    return TaughtStudent.collect(steps, vectors, [told(k, classes) for k in range(times)]), names


def test_what_is_written_can_be_read_back(tmp_path, events_of) -> None:
    phi = np.array([[0.2, 0.01], [-0.03, 0.4]], np.float32)
    summaries = Summaries(tmp_path, ("cat", "dog"), Watch(class_pairs=((1, 0),)))
    summaries.scalars("teacher", 7, {"dev/measure": 0.25, "dev/selection": None})
    summaries.told("teacher", 3, {"phi": phi, "bias": np.float32(0.5)}, title="Φ")
    summaries.close()
    events = events_of(tmp_path)["teacher"]
    assert events["dev/measure", 7] == [0.25]
    assert ("dev/selection", 7) not in events
    np.testing.assert_array_equal(events["phi/raw", 3][0], phi)
    np.testing.assert_allclose(events["phi/diagonal_mean", 3], 0.3)
    np.testing.assert_allclose(events["phi/off_diagonal_min", 3], -0.03)
    np.testing.assert_allclose(events["phi_diagonal/dog", 3], 0.4)
    np.testing.assert_allclose(events["phi_pairs/true dog, class cat", 3], -0.03)
    width, height, png = events["phi/heat_map", 3][0]
    image = tf.io.decode_png(png, channels=3)
    assert image.shape == (int(height), int(width), 3)
    assert len(np.unique(image)) > 20
    assert events["bias/raw", 3] == events["bias/value", 3] == [0.5]


def test_a_teacher_step_is_shown_with_everything_that_was_measured(tmp_path, events_of) -> None:
    summaries = Summaries(tmp_path, "abc", Watch(heat_map_every=2))
    teach(summaries, range(3))
    refused = record(3, taken=False, norm=None, refused=("why",))
    summaries.teacher_step(refused, {"end": told(3)}, last=True)
    summaries.teacher_end(4, 0.9)
    summaries.close()
    runs = events_of(tmp_path)
    expected = {f"seconds/{phase}" for phase in PHASES} | {
        "dev/measure",
        "dev/accuracy",
        "hypergradient/amplification",
        "hypergradient/refused",
        "teacher_step/skipped",
        "teacher_step/scale",
    }
    for step in range(4):
        assert expected <= {tag for tag, at in runs["teacher"] if at == step}
    assert runs["teacher"]["teacher_step/skipped", 3] == [1.0]
    assert runs["teacher"]["dev/selection_accuracy", 4] == [0.9]
    assert ("hypergradient/norm", 3) not in runs["teacher"]
    for moment in ("begin", "middle", "end"):
        tags = {tag for tag, at in runs[f"teacher/{moment}_of_student"] if at == 2}
        assert {"phi/heat_map", "phi/raw", "phi/histogram_of_off_diagonal"} <= tags
        assert ("phi/heat_map", 1) not in runs[f"teacher/{moment}_of_student"]
        assert {"attention/histogram", "attention/01", "phi_diagonal/b"} <= tags
    assert ("phi/heat_map", 3) in runs["teacher/end_of_student"]
    # Known at the end alone: which entries moved the most, that of (1, 0) before that of (0, 2).
    pairs = runs["teacher/class_pairs"]
    np.testing.assert_allclose(pairs["phi_pairs/true b, class a", 2], -0.002, atol=1e-7)
    assert ("phi_pairs/true a, class c", 0) in pairs


def test_a_student_is_shown_by_its_own_steps(tmp_path, events_of) -> None:
    summaries = Summaries(tmp_path, "abc", Watch(num_pairs=1, heat_maps=3))
    summaries.student(*student())
    summaries.student(*student())
    summaries.close()
    events = events_of(tmp_path)["student"]
    assert all(len(values) == 1 for values in events.values())
    assert [at for tag, at in events if tag == "state/feature 5"] == [0, 10, 20, 30, 40]
    assert [at for tag, at in events if tag == "student_phi/heat_map"] == [0, 20, 40]
    pairs = {tag for tag, _ in events if tag.startswith("student_phi_pairs")}
    assert pairs == {"student_phi_pairs/true b, class a"}
    numbers = [values[0] for (tag, _), values in events.items() if "heat_map" not in tag]
    assert all(np.isfinite(number).all() for number in numbers)


def test_many_classes_stay_small(tmp_path, events_of) -> None:
    summaries = Summaries(tmp_path, [f"class {k}" for k in range(100)])
    summaries.student(*student(100, times=40))
    summaries.close()
    tags = {tag for tag, _ in events_of(tmp_path)["student"]}
    assert len([tag for tag in tags if tag.startswith("student_phi")]) < 20
    assert sum(path.stat().st_size for path in tmp_path.rglob("events*")) < 4e6


def test_coefficients_of_any_shape_are_shown(tmp_path, events_of) -> None:
    values = {
        "diagonal": np.ones(3, "float32"),
        "long": np.arange(30, dtype="float32"),
        "bias": np.float32(0.5),
        "kernel": np.ones((2, 3, 4), "float32"),
        "broken": np.full((3, 3), np.nan, "float32"),
        "one": np.ones((1, 1), "float32"),
    }
    summaries = Summaries(tmp_path, ())
    summaries.told("run", 0, values, title="Φ")
    summaries.close()
    tags = {tag for tag, _ in events_of(tmp_path)["run"]}
    assert {f"{name}/raw" for name in values} <= tags
    assert {"diagonal/02", "long/max", "bias/value", "kernel/mean", "long/histogram"} <= tags
    assert not any(tag.startswith("broken/h") for tag in tags)


def test_the_words_of_least_and_most_weight_are_named(tmp_path, events_of) -> None:
    words = ["▁a|b", "`", *(f"word{k}" for k in range(28))]
    weights = np.arange(30, dtype="float32")
    weights[[0, 1]] = 29.5, -2
    summaries = Summaries(tmp_path, words)
    summaries.told("run", 0, {"phi": weights, "short": weights[:5]}, title="Φ")
    summaries.told("run", 1, {"phi": weights})
    summaries.told("run", 2, {"phi": np.where(weights > 3, np.nan, weights)}, title="Φ")
    summaries.close()
    events = events_of(tmp_path)["run"]
    assert [at for at in events if "least" in at[0]] == [("phi/least_and_most", 0)]
    _, _, *lines = events["phi/least_and_most", 0][0].item().decode().split("\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["&#96;", "-2", "&#9601;a&#124;b", "29.5"]
    assert rows[1] == ["word0", "2", "word27", "29"]
    assert len(rows) == 10


def test_going_on_leaves_each_point_once(tmp_path, events_of) -> None:
    killed = Summaries(tmp_path, "abc")
    teach(killed, range(5))
    killed.close()
    resumed = Summaries(tmp_path, "abc")
    resumed.resume(3)
    teach(resumed, range(3, 6))
    resumed.teacher_end(6, 0.9)
    resumed.close()
    again = Summaries(tmp_path, "abc")
    again.resume(6)
    again.teacher_end(6, 0.9)
    again.close()
    whole = Summaries(tmp_path / "whole", "abc")
    teach(whole, range(6))
    whole.teacher_end(6, 0.9)
    whole.close()
    runs = events_of(tmp_path)
    for run in ("teacher", "teacher/end_of_student", "teacher/class_pairs"):
        assert all(len(values) == 1 for values in runs[run].values())
        assert set(runs[run]) == set(runs[f"whole/{run}"])


@pytest.mark.parametrize("cut", [1, 40])
def test_a_file_whose_end_was_cut_off_is_gone_on_with(cut, tmp_path, events_of) -> None:
    killed = Summaries(tmp_path, "abc")
    teach(killed, range(3))
    killed.close()
    for path in tmp_path.rglob("events*"):
        path.write_bytes(path.read_bytes()[:-cut])
    live = EventAccumulator(str(tmp_path / "teacher"), purge_orphaned_data=True).Reload()
    assert [point.step for point in live.Tensors("dev/measure")][:2] == [0, 1]
    (tmp_path / "teacher" / ".events.out.tfevents.1.x.v2.half").write_bytes(b"half")
    # Event files are named by the second, and no run goes on within the one it was killed in.
    time.sleep(1.1)
    resumed = Summaries(tmp_path, "abc")
    resumed.resume(2)
    teach(resumed, range(2, 4))
    resumed.close()
    events = events_of(tmp_path)["teacher"]
    measures = {at: values for (tag, at), values in events.items() if tag == "dev/measure"}
    assert measures == {0: [0.5], 1: [1.5], 2: [2.5], 3: [3.5]}
    assert not list(tmp_path.rglob(".events*"))
    assert [point.step for point in live.Reload().Tensors("dev/measure")] == [0, 1, 2, 3]


def test_the_scores_of_compared_students_are_written_once(tmp_path, events_of) -> None:
    scores = {"seconds": 1.0, "dev_accuracy": 0.8, "test_accuracy": 0.75, "training_loss": [1.0]}
    rows = {"a / b": {"students": {"1": scores}}}
    for _ in range(2):
        summaries = Summaries(tmp_path, "abc")
        summaries.students(rows)
        rows["a / b"]["students"]["2"] = scores
        summaries.students(rows)
        summaries.close()
    events = events_of(tmp_path)["comparison/a _ b"]
    assert set(events) == {
        (f"scores/{tag}", at)
        for tag in ("dev_accuracy", "test_accuracy", "seconds")
        for at in (0, 1)
    }
    assert all(len(values) == 1 for values in events.values())


def test_what_cannot_be_watched_is_named() -> None:
    with pytest.raises(ValueError, match=r"heat_map_every must be at least 1, got 0"):
        Watch(heat_map_every=0)
    with pytest.raises(ValueError, match=r"class_pairs must hold pairs of classes, got 3"):
        Watch(class_pairs=(3, 8))
    with pytest.raises(ValueError, match=r"\(3, 10\), but the classes are numbered from 0 to 9"):
        Watch(class_pairs=((2, 7), (3, 10))).check(10)


def test_a_damaged_record_of_a_student_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "coefficients.npz"
    student()[0].save(path)
    assert set(TaughtStudent.load(path).told) == {"attention", "phi"}
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"coefficients.npz is damaged"):
        TaughtStudent.load(path)
