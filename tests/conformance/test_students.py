"""What every classifier of the package must do; one that is not in the table fails the suite."""

import functools
import inspect

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t import students
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.students import Student

CLASSES = 4
SMALL = [(8, 8, 1), (5, 6, 2)]
# A builder, what it needs under jit, and two shapes of images. From the same seed XLA draws other
# dropout, which is therefore off where results with and without it are compared.
BUILDERS = {
    "densenet": (
        functools.partial(students.densenet, depth=10, growth_rate=3, dropout_rate=0.25),
        {"dropout_rate": 0.0},
        SMALL,
    ),
    "lenet": (students.lenet, {"xla_pooling": True}, [(16, 16, 1), (20, 17, 3)]),
    "logistic_regression": (students.logistic_regression, {}, [(4, 4, 1), (3, 5, 2)]),
    "mlp": (functools.partial(students.mlp, hidden=(5,)), {}, [(4, 4, 1), (3, 5, 2)]),
    "resnet": (functools.partial(students.resnet, channels=4), {}, SMALL),
    "wide_resnet": (
        functools.partial(students.wide_resnet, depth=10, width=2, channels=2, dropout_rate=0.25),
        {"dropout_rate": 0.0},
        SMALL,
    ),
}
each_student = pytest.mark.parametrize(
    ("build", "for_jit", "shapes"), BUILDERS.values(), ids=BUILDERS
)


def images(shape: tuple[int, ...], dtype: str) -> tuple[tf.Tensor, tf.Tensor]:
    inputs = np.random.default_rng(0).standard_normal((5, *shape))
    return tf.constant(inputs, dtype), tf.constant([0, 1, 2, 3, 0])


def step_of(student: Student, batch: tuple[tf.Tensor, tf.Tensor]) -> TrainingStep:
    """A step on cross entropy at a temperature, which stands for the coefficients."""

    def inner_loss(weights, variables, temperature, batch):
        inputs, targets = batch
        outputs, variables, penalty = student(
            weights, variables, inputs, training=True, seed=tf.constant([0, 0])
        )
        log_p = tf.nn.log_softmax(outputs.logits * temperature)
        return penalty - tf.reduce_mean(tf.gather(log_p, targets, batch_dims=1)), variables

    return TrainingStep(inner_loss, lambda t, context: batch, SGD(0.25, momentum=0.5))


def test_the_table_is_complete():
    exported = [getattr(students, name) for name in students.__all__]
    functions = {each.__name__ for each in exported if inspect.isfunction(each)}
    assert set(BUILDERS) == {name for name in functions if not name.endswith("_translator")}


@pytest.mark.parametrize("name", BUILDERS)
def test_gin_knows_it(name):
    assert gin.get_configurable(f"tf_l2t.{name}") is not None


@each_student
def test_it_is_built_for_any_image_and_learns(build, for_jit, shapes):
    for shape in shapes:
        student = Student(build, shape, CLASSES)
        batch = images(shape, "float32")
        step = step_of(student, batch)
        run = tf.function(
            lambda state, step=step: step(state, tf.constant(1.0), tf.constant(0), ())
        )
        state, losses = step.initial_state(*student.initial(0)), []
        for _ in range(20):
            state, loss = run(state)
            losses.append(float(loss))
        assert losses[-1] < losses[0] - 0.1
        outputs, _, _ = student(state.weights, state.variables, batch[0], training=False)
        assert outputs.logits.shape == (5, CLASSES)
        assert outputs.features.shape == (5, outputs.kernel.shape[0])
        # An example does not see its batch.
        alone, _, _ = student(state.weights, state.variables, batch[0][:1], training=False)
        np.testing.assert_allclose(alone.logits, outputs.logits[:1], rtol=1e-4, atol=1e-5)


@each_student
@pytest.mark.usefixtures("float64")
def test_the_derivative_of_a_step_is_that_of_differences(build, for_jit, shapes):
    """Hessian and mixed products, whole: no weight or coefficient is left out."""
    student = Student(build, shapes[0], CLASSES)
    step = step_of(student, images(shapes[0], "float64"))
    state = step.initial_state(*student.initial(1))
    rng = np.random.default_rng(2)
    at = (state.weights, tf.constant(1.25, tf.float64))
    adjoint = [tf.constant(rng.standard_normal(w.shape)) for w in state.weights]
    zeros = [tf.zeros_like(slot) for slot in tf.nest.flatten(state.slots)]
    fixed = [tf.zeros_like(variable) for variable in state.variables]

    @tf.function
    def vjp(at):
        saved = step.saved(state._replace(weights=at[0]))
        return step.vjp(saved, at[1], tf.constant(0), (), [*adjoint, *zeros, *fixed])

    @tf.function
    def value(at):
        after, _ = step(state._replace(weights=at[0]), at[1], tf.constant(0), ())
        return sum(tf.reduce_sum(a * b) for a, b in zip(adjoint, after.weights, strict=True))

    of_state, of_temperature = vjp(at)
    got = [*of_state[: len(state.weights)], *of_temperature]
    assert all(np.isfinite(gradient).all() for gradient in got)
    distance = 1e-6
    for _ in range(3):
        direction = [tf.constant(rng.standard_normal(gradient.shape)) for gradient in got]
        ends = [
            value(tf.nest.map_structure(lambda x, d: x + sign * distance * d, at, along))  # noqa: B023
            for along in [tf.nest.pack_sequence_as(at, direction)]
            for sign in (1, -1)
        ]
        want = (ends[0] - ends[1]) / (2 * distance)
        product = sum(tf.reduce_sum(a * b) for a, b in zip(got, direction, strict=True))
        np.testing.assert_allclose(product, want, rtol=1e-6)


@each_student
def test_it_compiles(build, for_jit, shapes):
    """Eager, as a graph and under XLA it is the same step with the same derivative."""
    batch, results = images(shapes[0], "float32"), []
    for jit_compile in (None, False, True):
        student = Student(functools.partial(build, **for_jit), shapes[0], CLASSES)
        step = step_of(student, batch)
        state = step.initial_state(*student.initial(1))
        adjoint = [tf.sin(each + k) for k, each in enumerate(tf.nest.flatten(state))]

        def run(state, step=step, adjoint=adjoint):
            temperature, t = tf.constant(1.25), tf.constant(0)
            after = step(state, temperature, t, ())
            return after, step.vjp(step.saved(state), temperature, t, (), adjoint)

        compiled = run if jit_compile is None else tf.function(run, jit_compile=jit_compile)
        results.append(tf.nest.flatten(compiled(state)))
    for other in results[1:]:
        for one, want in zip(other, results[0], strict=True):
            scale = max(1.0, float(tf.reduce_max(tf.abs(want))))
            np.testing.assert_allclose(one, want, rtol=1e-4, atol=1e-5 * scale)


@each_student
def test_it_is_saved_and_restored(build, for_jit, shapes, tmp_path):
    for number, settings in enumerate([{}, for_jit]):
        student = Student(functools.partial(build, **settings), shapes[0], CLASSES)
        weights, variables = student.initial(5)
        model = student.model_with(weights, variables)
        model.save(tmp_path / f"{number}.keras")
        restored = keras.saving.load_model(tmp_path / f"{number}.keras", safe_mode=True)
        inputs, _ = images(shapes[0], "float32")
        outputs, _, _ = student(weights, variables, inputs, training=False)
        np.testing.assert_allclose(restored(inputs), outputs.logits, rtol=1e-5, atol=1e-6)
