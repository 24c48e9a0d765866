"""What every teacher must do; a teacher that is not in the table fails the suite."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t import teachers

BUILDERS = {
    "attention_teacher": teachers.attention_teacher,
    "fixed_teacher": teachers.fixed_teacher,
    "attention_teacher, relative": functools.partial(
        teachers.attention_teacher, relative=True, time_scale=4.0
    ),
}
SHAPES = {"phi": (4, 4), "bias": (), "diagonal": (6,)}
NUM_FEATURES = 7


@pytest.fixture(params=BUILDERS)
def teacher(request: pytest.FixtureRequest) -> keras.Model:
    return BUILDERS[request.param](SHAPES, NUM_FEATURES)


def call(teacher: keras.Model, theta: list, states: tf.Tensor) -> dict[str, tf.Tensor]:
    fixed = [tf.convert_to_tensor(v) for v in teacher.non_trainable_variables]
    return teacher.stateless_call(theta, fixed, states)[0]


def theta_of(teacher: keras.Model) -> list[tf.Tensor]:
    return [
        v + 0.1 * tf.random.stateless_normal(v.shape, [k, 0])
        for k, v in enumerate(teacher.trainable_variables)
    ]


def test_the_table_is_complete() -> None:
    assert {name.partition(",")[0] for name in BUILDERS} == set(teachers.__all__)


def test_each_coefficient_has_its_shape_in_float32(teacher) -> None:
    outputs = call(teacher, theta_of(teacher), tf.random.stateless_uniform([3, 7], [1, 1]))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        name: (3, *shape) for name, shape in SHAPES.items()
    }
    assert {value.dtype for value in outputs.values()} == {tf.float32}


def test_a_state_does_not_see_its_batch(teacher) -> None:
    theta, states = theta_of(teacher), tf.random.stateless_uniform([3, 7], [1, 1])
    together = call(teacher, theta, states)
    for k in range(3):
        alone = call(teacher, theta, states[k : k + 1])
        for name in SHAPES:
            np.testing.assert_allclose(alone[name][0], together[name][k], rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_compiles_and_every_parameter_has_a_gradient(teacher, jit_compile) -> None:
    theta, states = theta_of(teacher), tf.random.stateless_uniform([3, 7], [1, 1])

    def loss(theta: list) -> tf.Tensor:
        return tf.add_n([tf.reduce_sum(v**2) for v in call(teacher, theta, states).values()])

    @tf.function(jit_compile=jit_compile)
    def value_and_gradients(theta: list) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(theta)
            value = loss(theta)
        return value, tape.gradient(value, theta)

    value, gradients = value_and_gradients(theta)
    np.testing.assert_allclose(value, loss(theta), rtol=1e-4)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def test_extreme_states_give_finite_coefficients(teacher) -> None:
    for states in (tf.zeros([1, 7]), tf.ones([1, 7]), tf.fill([1, 7], 1e6)):
        for value in call(teacher, theta_of(teacher), states).values():
            assert np.isfinite(value).all()


def test_it_is_saved_and_restored(teacher, tmp_path) -> None:
    teacher.save(tmp_path / "teacher.keras")
    restored = keras.saving.load_model(tmp_path / "teacher.keras", safe_mode=True)
    states = tf.random.stateless_uniform([3, 7], [1, 1])
    for name, value in teacher(states).items():
        np.testing.assert_array_equal(restored(states)[name], value)
