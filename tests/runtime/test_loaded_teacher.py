import json
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

import tf_l2t
from tf_l2t.losses import DynamicBilinear, DynamicDiagonal, PerToken
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.frozen_row import frozen_row
from tf_l2t.runtime.teacher_record import TeacherError, digests, teacher_record
from tf_l2t.teachers import attention_teacher


def rewrite(directory, **changes) -> None:
    record = json.loads((directory / "teacher.json").read_text())
    record.update(changes)
    record["sha256"] = digests(directory)
    (directory / "teacher.json").write_text(json.dumps(record))


def test_it_sets_what_the_signature_sets(exported) -> None:
    teacher = tf_l2t.load_teacher(exported, num_classes=np.int64(3))
    assert (teacher.num_classes, teacher.class_names) == (3, ("a", "b", "c"))
    assert len(teacher.feature_names) == 6
    assert teacher.feature_names[0] == "t / T"
    assert isinstance(teacher.loss, DynamicBilinear)
    assert teacher.loss.bias
    assert teacher.metadata["dev_accuracy"] == 0.9
    assert teacher.path == exported
    assert (teacher.observed_examples, teacher.observe_every) == (20, 7)
    assert "num_classes=3" in repr(teacher)
    states = np.random.default_rng(0).uniform(size=(5, 6))
    values = teacher(states)
    assert {name: value.shape for name, value in values.items()} == {"phi": (5, 3, 3), "bias": (5,)}
    direct = tf.saved_model.load(str(exported))
    single = direct.signatures["serving_default"](state=tf.constant(states[2], tf.float32))
    np.testing.assert_allclose(values["phi"][2], single["phi"], rtol=1e-6)


def test_a_teacher_of_a_loss_of_every_word_comes_back(tmp_path) -> None:
    loss = PerToken(DynamicDiagonal())
    teacher = attention_teacher(loss.coefficient_shapes(3), 6)
    record = teacher_record(loss, "abc", observed_examples=20, observe_every=7)
    weights = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
    export_teacher(tmp_path / "teacher", teacher, weights, record)
    loaded = tf_l2t.load_teacher(tmp_path / "teacher")
    assert isinstance(loaded.loss, PerToken)
    assert isinstance(loaded.loss.loss, DynamicDiagonal)
    assert loaded(tf.zeros([2, 6]))["phi"].shape == (2, 3)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_may_be_called_in_a_loop_within_a_function(exported, jit_compile) -> None:
    teacher = tf_l2t.load_teacher(exported)

    @tf.function(jit_compile=jit_compile)
    def last(state: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(
            lambda t, phi: t < 5,
            lambda t, phi: (t + 1, teacher(state + tf.cast(t, tf.float32) / 5)["phi"]),
            [0, tf.zeros([1, 3, 3])],
            maximum_iterations=5,
        )[1]

    state = tf.zeros([1, 6])
    np.testing.assert_allclose(last(state), teacher(state + 0.8)["phi"], rtol=1e-5)


def test_states_of_another_width_are_refused(exported) -> None:
    with pytest.raises(ValueError, match=r"shape \[batch, 6\], got \(1, 5\); give one row"):
        tf_l2t.load_teacher(exported)(tf.zeros([1, 5]))


def test_nan_in_a_state_is_seen(exported) -> None:
    assert np.isnan(tf_l2t.load_teacher(exported)(np.full((1, 6), np.nan))["phi"]).all()


@pytest.mark.parametrize("classes", [4, ["a", "b"], ("a", "c", "b")])
def test_other_classes_are_refused(exported, classes) -> None:
    with pytest.raises(TeacherError, match=r"is for 3 classes \(a, b, c\), not for"):
        tf_l2t.load_teacher(exported, num_classes=classes)


def remove_record(directory) -> None:
    (directory / "teacher.json").unlink()


def remove_graph(directory) -> None:
    (directory / "saved_model.pb").unlink()


def truncate_record(directory) -> None:
    path = directory / "teacher.json"
    path.write_text(path.read_text()[:100])


def truncate_graph(directory) -> None:
    path = directory / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-20])


def flip_a_weight(directory) -> None:
    (path,) = (directory / "variables").glob("*.data-*")
    content = bytearray(path.read_bytes())
    content[3] ^= 255
    path.write_bytes(bytes(content))


def remove_weights(directory) -> None:
    shutil.rmtree(directory / "variables")


def another_model(directory) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([2])])
    record = (directory / "teacher.json").read_text()
    shutil.rmtree(directory)
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.f})
    (directory / "teacher.json").write_text(record)
    rewrite(directory)


def damage_graph_and_forge_digests(directory) -> None:
    truncate_graph(directory)
    rewrite(directory)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "there is no directory .*; give the path"),
        (remove_graph, "is no SavedModel .* saved_model.pb"),
        (remove_record, "is a SavedModel but no teacher .* no teacher.json"),
        (truncate_record, "teacher.json is damaged .*export the teacher again"),
        (truncate_graph, r"is damaged \(saved_model.pb is not as it was written\)"),
        (damage_graph_and_forge_digests, "cannot be loaded .*export it again"),
        (flip_a_weight, r"is damaged \(variables/.* is not as it was written\)"),
        (remove_weights, r"is damaged \(variables/.* is missing\)"),
        (another_model, "is no teacher: its signature 'serving_default' takes"),
        (lambda d: rewrite(d, format="x"), "does not have the format 'tf_l2t teacher'"),
        (lambda d: rewrite(d, format_version=2), "format version 2, .* reads version 1; install"),
        (lambda d: rewrite(d, loss=None), r"is damaged \(loss is missing\)"),
        (lambda d: rewrite(d, loss={"class": "os.system"}), "for the loss 'os.system', and this"),
        (
            lambda d: rewrite(d, loss={"class": "DynamicBilinear", "arguments": {"evil": 1}}),
            "is damaged .*evil",
        ),
        (
            lambda d: rewrite(
                d,
                loss={
                    "class": "PerToken",
                    "arguments": {"loss": {"class": "os.system", "arguments": {}}},
                },
            ),
            "is damaged .*there is no loss 'os.system'",
        ),
        (lambda d: rewrite(d, num_classes=4), r"is damaged \(coefficients"),
        (lambda d: rewrite(d, class_names=["a"]), r"is damaged \(1 class names and 6 features"),
        (lambda d: rewrite(d, state={"features": []}), r"is damaged \('observed_examples'"),
    ],
)
def test_what_cannot_be_used_is_refused(exported, damage, message) -> None:
    damage(exported)
    with pytest.raises(TeacherError, match=message):
        tf_l2t.load_teacher(exported)


def test_an_empty_or_foreign_teacher_json_is_refused(exported) -> None:
    for content in ("", "[]", "null"):
        (exported / "teacher.json").write_text(content)
        with pytest.raises(TeacherError, match="is damaged|is no teacher"):
            tf_l2t.load_teacher(exported)


def test_a_teacher_of_other_words_is_refused() -> None:
    words, conditions = ("<pad>", "a", "b"), {"the loss": "PerToken"}
    teacher = types.SimpleNamespace(
        path="there",
        class_names=words,
        loss=PerToken(DynamicDiagonal()),
        check_classes=lambda count: None,
    )
    with pytest.raises(TeacherError, match=r"there is for another vocabulary, of which 2 of 3 "):
        frozen_row("taught", teacher, ("<pad>", "b", "a"), (0.1,), conditions)
