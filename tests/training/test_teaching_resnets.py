"""The hypergradient of all that CIFAR needs at once, against a full unroll and differences.

A residual network, crops and flips, batch norm (the batch's statistics in the rollout, the moving
ones at the dev measure), momentum, an L2 penalty and a schedule, taught by a task.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import CropAndFlip, arrays
from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.moments import exact_moments
from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.differentiation.segments import Segment
from tf_l2t.differentiation.trajectory import STORAGE_POLICIES
from tf_l2t.losses import DynamicBilinear
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import densenet, resnet, wide_resnet
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.recipe import steps
from tf_l2t.training.rollout import Budget, Teaching
from tf_l2t.types import StudentState

pytestmark = pytest.mark.usefixtures("float64")

NUM_STEPS, OBSERVE_EVERY, SEED = 5, 2, 3
RATE, MOMENTUM, L2 = 0.5, 0.9, 0.03
RATES = [RATE, RATE, RATE / 10, RATE / 10, RATE / 100]
STUDENTS = {
    "resnet": functools.partial(resnet, channels=3),
    "wide_resnet with dropout": functools.partial(
        wide_resnet, depth=10, width=1, channels=3, dropout_rate=0.2
    ),
    "densenet": functools.partial(densenet, depth=10, growth_rate=2),
}


def make_task(build) -> Classification:
    random = np.random.default_rng(0)
    means = random.uniform(60, 190, (3, 8, 8, 3))

    def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 3, count)
        noisy = means[labels] + random.normal(0, 60, (count, 8, 8, 3))
        return noisy.clip(0, 255).astype("uint8"), labels

    return Classification(
        arrays(*examples(70), *examples(9)),
        build,
        ExpectedAccuracy(),
        batch_size=8,
        dev_size=20,
        chunk_size=15,
        observed_examples=15,
        mean="train",
        std="train",
        augmentation=CropAndFlip(padding=2),
    )


def make_teaching(task: Classification, storage: str = "memory") -> Teaching:
    loss = DynamicBilinear()
    return Teaching(
        task,
        loss,
        SGD(steps(RATE, NUM_STEPS, at=(0.4, 0.8)), momentum=MOMENTUM, l2_penalty=L2),
        Budget(NUM_STEPS, observe_every=OBSERVE_EVERY),
        attention_teacher(
            task.coefficient_shapes(loss), len(task.feature_names), num_keys=3, off_diagonal=0.01
        ),
        storage=storage,
    )


def theta_of(teaching: Teaching) -> list[tf.Tensor]:
    """Returns parameters whose keys differ, so that attention has a derivative."""
    rng = np.random.default_rng(4)
    return [
        tf.constant(v.numpy() + 0.05 * rng.standard_normal(v.shape))
        for v in teaching.teacher.trainable_variables
    ]


def dev_loss(task: Classification, weights, variables) -> tf.Tensor:
    chunks = [tf.constant(chunk) for chunk in range(task.num_dev_chunks)]
    return tf.add_n([task.dev_loss(weights, variables, chunk) for chunk in chunks])


def full_unroll(teaching: Teaching, theta):
    """One tape around all steps, the update rule written out."""
    task, loss = teaching.task, DynamicBilinear()
    context = task.context(Segment(0, NUM_STEPS), SEED)
    weights, variables = task.initial(SEED)
    velocities = [tf.zeros_like(weight) for weight in weights]
    with tf.GradientTape() as tape, exact_moments():
        tape.watch([*theta, *weights])
        initial = weights
        for t in range(NUM_STEPS):
            if t % OBSERVE_EVERY == 0:
                observed = tf.stop_gradient(task.observe(StudentState(weights, (), variables)))
            state_vector = tf.concat([[t / NUM_STEPS], observed], axis=0)
            coefficients = teaching.coefficients(theta, state_vector)
            batch = task.batch(tf.constant(t), context)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                outputs, variables, _ = task.forward(
                    weights, variables, batch, training=True, seed=tf.constant([SEED, t])
                )
                value = tf.reduce_mean(loss(outputs, batch.targets, coefficients))
            gradients = inner.gradient(value, weights)
            velocities = [
                MOMENTUM * v - RATES[t] * (g + L2 * w)
                for v, g, w in zip(velocities, gradients, weights, strict=True)
            ]
            weights = [w + v for w, v in zip(weights, velocities, strict=True)]
        value = dev_loss(task, weights, variables)
    gradients = tape.gradient(value, [*theta, *initial])
    return value, gradients


@pytest.mark.parametrize("build", STUDENTS.values(), ids=STUDENTS)
def test_the_hypergradient_is_that_of_a_full_unroll(build) -> None:
    task = make_task(build)
    teaching = make_teaching(task)
    theta = theta_of(teaching)
    value, wanted = full_unroll(teaching, theta)
    compiled, outer = teaching.engine.segments, OuterGradient(task.dev_loss, task.num_dev_chunks)
    results = {}
    for storage in STORAGE_POLICIES:
        teaching = make_teaching(task, storage)
        teaching.engine.segments = compiled
        lesson = teaching.roll_out(theta, SEED, record=True)
        ((got_value, adjoint),) = teaching.differentiate_each([lesson], outer)
        (result,) = teaching.reverse_each([lesson], theta, [adjoint])
        np.testing.assert_allclose(got_value, value, rtol=1e-8)
        results[storage] = [*result.gradients, *result.initial_gradients]
        # The moving statistics take part in the dev measure.
        assert all(np.abs(a).max() > 0 for a in adjoint[-len(lesson.rollout.state.variables) :])
    for storage, got in results.items():
        for one, reference, want in zip(got, results["memory"], wanted, strict=True):
            scale = np.abs(want).max()
            np.testing.assert_allclose(one, want, rtol=1e-6, atol=1e-8 * scale, err_msg=storage)
            np.testing.assert_allclose(one, reference, rtol=1e-12, atol=1e-12 * scale)


def test_the_hypergradient_is_that_of_differences() -> None:
    task = make_task(STUDENTS["resnet"])
    teaching = make_teaching(task)
    theta = theta_of(teaching)
    lesson = teaching.roll_out(theta, SEED, record=True)
    outer = OuterGradient(task.dev_loss, task.num_dev_chunks)
    ((_, adjoint),) = teaching.differentiate_each([lesson], outer)
    (result,) = teaching.reverse_each([lesson], theta, [adjoint])
    rng = np.random.default_rng(1)

    def value_at(distance: float, direction) -> float:
        moved = [p + distance * d for p, d in zip(theta, direction, strict=True)]
        state = teaching.roll_out(moved, SEED).rollout.state
        return float(dev_loss(task, state.weights, state.variables))

    for _ in range(3):
        direction = [tf.constant(rng.standard_normal(p.shape)) for p in theta]
        near, far = (value_at(k * 1e-6, direction) - value_at(-k * 1e-6, direction) for k in (1, 2))
        want = (8 * near - far) / 12e-6
        pairs = zip(result.gradients, direction, strict=True)
        product = sum(float(tf.reduce_sum(g * d)) for g, d in pairs)
        np.testing.assert_allclose(product, want, rtol=1e-6)
