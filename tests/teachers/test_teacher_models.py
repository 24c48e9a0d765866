import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.teachers import attention_teacher, fixed_teacher
from tf_l2t.teachers.attention import attention_weights
from tf_l2t.teachers.state_features import (
    feature_names,
    observation,
    precision_per_class,
    state_vector,
)

SHAPES = {"phi": (4, 4), "bias": ()}


def test_attention_is_w_softmax_v_s() -> None:
    teacher = attention_teacher(SHAPES, 7, num_keys=5, seed=3)
    kernels = {v.path: v.numpy() for v in teacher.trainable_variables}
    v, w = kernels["attention/kernel"].T, kernels["values_of_phi/kernel"]
    w = w + np.random.default_rng(0).normal(size=w.shape).astype("float32")
    states = np.random.default_rng(1).uniform(size=(3, 7)).astype("float32")
    theta = [
        tf.constant(w) if "phi" in variable.path else tf.convert_to_tensor(variable)
        for variable in teacher.trainable_variables
    ]
    outputs, _ = teacher.stateless_call(theta, [], states)
    for state, phi in zip(states, outputs["phi"], strict=True):
        scores = np.exp(v @ state)
        expected = np.einsum("ijn,n->ij", w.T.reshape(4, 4, 5), scores / scores.sum())
        np.testing.assert_allclose(phi, expected, rtol=1e-5)


@pytest.mark.parametrize("build", [attention_teacher, fixed_teacher])
def test_every_state_starts_with_the_same_coefficients(build) -> None:
    teacher = build(SHAPES, 7, diagonal=0.3, off_diagonal=0.01)
    outputs = teacher(tf.random.stateless_uniform([5, 7], [1, 2]))
    expected = np.full((4, 4), 0.01)
    np.fill_diagonal(expected, 0.3)
    for phi in outputs["phi"]:
        np.testing.assert_allclose(phi, expected, rtol=1e-5)
    np.testing.assert_array_equal(outputs["bias"], np.zeros(5))


def test_the_keys_differ_so_that_they_can_part() -> None:
    v = attention_teacher(SHAPES, 7).get_layer("attention").kernel.numpy()
    assert np.linalg.matrix_rank(v) == 7
    again = attention_teacher(SHAPES, 7).get_layer("attention").kernel.numpy()
    np.testing.assert_array_equal(v, again)
    other = attention_teacher(SHAPES, 7, seed=1).get_layer("attention").kernel.numpy()
    assert np.abs(v - other).max() > 0.1


def test_keys_that_listen_to_time_take_turns() -> None:
    states = np.full((21, 13), 0.98, "float32")
    states[:, 0] = np.linspace(0, 1, 21)

    def attended(**scales) -> np.ndarray:
        teacher = attention_teacher({"phi": (10, 10)}, 13, **scales)
        theta = [tf.convert_to_tensor(v) for v in teacher.trainable_variables]
        return attention_weights(teacher, theta, tf.constant(states)).numpy()

    in_turn = attended(key_scale=0.1, time_scale=4.0)
    assert in_turn[0].max() < 0.25
    assert in_turn[-1].max() > 0.5
    plain, same = attended(), attended(time_scale=1.0)
    np.testing.assert_array_equal(plain, same)
    # How far the attention moves from begin to end, at most 1.
    moved = lambda weights: np.abs(weights[-1] - weights[0]).sum() / 2
    assert moved(in_turn) > 0.5 > moved(plain)


def test_relative_values_are_in_units_of_those_they_start_from() -> None:
    states = tf.random.stateless_uniform([3, 7], [1, 2])
    scales = {"diagonal": 0.3, "off_diagonal": 0.01}
    plain = attention_teacher(SHAPES, 7, **scales)
    relative = attention_teacher(SHAPES, 7, **scales, relative=True)
    for name, value in plain(states).items():
        np.testing.assert_allclose(relative(states)[name], value, rtol=1e-5)
    twice = [
        2 * variable if "phi" in variable.path else variable + 1 if "bias" in variable.path else
        tf.convert_to_tensor(variable)
        for variable in relative.trainable_variables
    ]  # fmt: skip
    outputs, _ = relative.stateless_call(twice, [], states)
    np.testing.assert_allclose(outputs["phi"], 2 * plain(states)["phi"], rtol=1e-5)
    # Where they start from 0, a unit is 1.
    np.testing.assert_allclose(outputs["bias"], np.ones(3), rtol=1e-5)


def test_the_fixed_teacher_has_nothing_to_learn() -> None:
    assert fixed_teacher(SHAPES, 7).trainable_variables == []


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="coefficient_shapes is empty"):
        attention_teacher({}, 7)
    with pytest.raises(ValueError, match="num_keys must be at least 1, got 0"):
        attention_teacher(SHAPES, 7, num_keys=0)
    with pytest.raises(ValueError, match="time_scale must be .*, got -1"):
        attention_teacher(SHAPES, 7, time_scale=-1.0)
    with pytest.raises(ValueError, match=r"'phi' has the shape \(4, 3\)"):
        attention_teacher({"phi": (4, 3)}, 7)


def test_the_state_vector_is_in_the_order_of_its_names() -> None:
    observed = observation(tf.constant(0.5), tf.constant(0.25), tf.constant([0.1, 0.9]))
    vector = state_vector(tf.constant(0.75), observed)
    np.testing.assert_allclose(vector, [0.75, 0.5, 0.25, 0.1, 0.9])
    names = feature_names(("cat", "dog"))
    assert names == (
        "t / T",
        "training accuracy",
        "dev accuracy",
        "dev precision of cat",
        "dev precision of dog",
    )
    assert len(names) == len(vector)


def test_precision_counts_the_right_among_all_so_predicted() -> None:
    predictions = tf.constant([0, 0, 0, 1, 1, 3])
    labels = tf.constant([0, 0, 1, 1, 2, 3])
    np.testing.assert_allclose(precision_per_class(predictions, labels, 4), [2 / 3, 0.5, 0.0, 1.0])
