import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import DynamicBilinear
from tf_l2t.losses.base import Loss
from tf_l2t.runtime import export, files
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.teachers import attention_teacher, fixed_teacher

SHAPES = {"phi": (3, 3), "bias": ()}


def write(directory, diagonal) -> None:
    record = teacher_record(DynamicBilinear(), "abc", observed_examples=2, observe_every=1)
    export_teacher(directory, fixed_teacher(SHAPES, 6, diagonal=diagonal), [], record)


def diagonal_of(directory) -> float:
    loaded = tf.saved_model.load(str(directory))
    return float(loaded.signatures["serving_default"](state=tf.zeros(6))["phi"][0, 0])


@pytest.mark.parametrize("build", [attention_teacher, fixed_teacher])
def test_the_saved_model_sets_what_the_teacher_sets(build, tmp_path) -> None:
    teacher = build(SHAPES, 6)
    theta = [
        tf.random.stateless_normal(v.shape, [1, k])
        for k, v in enumerate(teacher.trainable_variables)
    ]
    export_teacher(tmp_path / "teacher", teacher, theta, {"class_names": ["a", "b", "c"]})
    loaded = tf.saved_model.load(str(tmp_path / "teacher"))
    states = tf.random.stateless_uniform([4, 6], [2, 3])
    fixed = [tf.convert_to_tensor(v) for v in teacher.non_trainable_variables]
    expected, _ = teacher.stateless_call(theta, fixed, states)
    batched = loaded.signatures["batched"](states=states)
    single = loaded.signatures["serving_default"](state=states[2])
    for name, shape in SHAPES.items():
        assert single[name].shape == shape
        np.testing.assert_allclose(batched[name], expected[name], rtol=1e-6)
        np.testing.assert_allclose(single[name], expected[name][2], rtol=1e-6)
    assert json.loads((tmp_path / "teacher" / "teacher.json").read_text())["class_names"]


def test_teacher_json_says_what_a_reader_needs(exported) -> None:
    record = json.loads((exported / "teacher.json").read_text())
    assert (record["format"], record["format_version"]) == ("tf_l2t teacher", 1)
    assert (record["num_classes"], record["class_names"]) == (3, ["a", "b", "c"])
    state = record["state"]
    assert [feature["name"] for feature in state["features"]] == [
        "t / T",
        "training accuracy",
        "dev accuracy",
        *(f"dev precision of {name}" for name in "abc"),
    ]
    assert all(feature["range"] == [0, 1] for feature in state["features"])
    assert "divided by the number of training steps" in state["features"][0]["definition"]
    assert (state["observed_examples"], state["observe_every"]) == (20, 7)
    assert record["loss"]["class"] == "DynamicBilinear"
    assert record["loss"]["arguments"] == {"bias": True}
    assert "sigmoid" in record["loss"]["formula"]
    assert record["coefficients"] == {"phi": [3, 3], "bias": []}
    assert record["dev_accuracy"] == 0.9
    assert "tensorflow" in record["versions"]
    assert "saved_model.pb" in record["sha256"]


def test_a_loss_from_outside_is_described_too() -> None:
    class Own(DynamicBilinear):
        def __init__(self, strange: int) -> None:
            super().__init__()

    assert issubclass(Own, Loss)
    record = teacher_record(Own(3), ["x", "y"], observed_examples=1, observe_every=1)
    assert record["loss"]["class"] == "Own"


@pytest.mark.parametrize("exchange", [True, False])
def test_an_old_export_is_replaced_as_a_whole(exchange, tmp_path, monkeypatch) -> None:
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    for diagonal in (0.1, 0.4):
        write(tmp_path / "teacher", diagonal)
    assert diagonal_of(tmp_path / "teacher") == pytest.approx(0.4)
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("where", ["save", "write_json", "replace_directory", "exchange", "rename"])
def test_a_kill_leaves_a_whole_teacher(where, tmp_path, monkeypatch) -> None:
    directory = tmp_path / "teacher"
    write(directory, 0.1)

    def kill(*arguments: object, **options: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if where == "save":
            patch.setattr(tf.saved_model, "save", kill)
        elif where in ("write_json", "replace_directory"):
            patch.setattr(export, where, kill)
        else:
            patch.setattr(shutil, "rmtree", lambda path, **o: None if o else kill())
            if where == "rename":
                patch.setattr(files, "_exchange", lambda first, second: False)
        with pytest.raises(Killed):
            write(directory, 0.4)
    assert diagonal_of(directory) == pytest.approx(0.4 if where in ("exchange", "rename") else 0.1)
    write(directory, 0.7)
    assert diagonal_of(directory) == pytest.approx(0.7)
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]


def test_a_kill_between_two_renames_is_undone(tmp_path) -> None:
    write(tmp_path / "teacher", 0.1)
    (tmp_path / "teacher").rename(tmp_path / ".teacher.old")
    files.recover_directory(tmp_path / "teacher")
    assert diagonal_of(tmp_path / "teacher") == pytest.approx(0.1)
