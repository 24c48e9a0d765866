import json

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.runtime.export import export_teacher
from tf_l2t.teachers import attention_teacher, fixed_teacher

SHAPES = {"phi": (3, 3), "bias": ()}


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


def test_an_old_export_is_replaced_as_a_whole(tmp_path) -> None:
    directory = tmp_path / "teacher"
    for diagonal in (0.1, 0.4):
        teacher = fixed_teacher(SHAPES, 6, diagonal=diagonal)
        export_teacher(directory, teacher, [], {})
    loaded = tf.saved_model.load(str(directory))
    phi = loaded.signatures["serving_default"](state=tf.zeros(6))["phi"]
    np.testing.assert_allclose(phi[0, 0], 0.4)
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]
