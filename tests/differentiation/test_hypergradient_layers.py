"""Hypergradients of students of every kind: what layers carry, draw, gather and loop over."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import BATCH, CLASSES, images, taught
from oracles import Problem, WithEngine, assert_is_that_of_differences, assert_same, full_unroll

from tf_l2t.differentiation import SGD, Adam
from tf_l2t.students import Student
from tf_l2t.types import Batch

pytestmark = pytest.mark.usefixtures("float64")

STEPS, WORDS, LENGTH = 4, 9, 4
LENGTHS = tf.constant([[4, 1, 3, 2, 4, 2], [1, 2, 2, 1, 2, 1], [3] * 6, [4] * 6])
MOMENTUM = SGD(0.5, momentum=0.5)
ADAM = Adam(0.0625, epsilon=1e-2)
RULES = {"momentum": MOMENTUM, "adam": ADAM, "clip": SGD(0.5, global_clipnorm=0.01)}
layers = keras.layers


def student_of(shape: tuple[int | None, ...], *make_layers) -> Student:
    """Builds layers one after the other, and the logits after them."""
    return Student(
        lambda shape, classes: keras.Sequential(
            [keras.Input(shape), *(make() for make in make_layers), layers.Dense(classes)]
        ),
        shape,
        CLASSES,
    )


def dense() -> keras.layers.Layer:
    return layers.Dense(4, activation="tanh")


def batch_norm(rule) -> Problem:
    student = student_of((5,), dense, lambda: layers.BatchNormalization(momentum=0.7))
    return taught(student, images((5,), STEPS + 1, "float64"), rule)


def dropout(rule, seed: int = 1) -> Problem:
    student = student_of(
        (5,), dense, lambda: layers.Dropout(0.5), dense, lambda: layers.Dropout(0.25)
    )
    return taught(student, images((5,), STEPS + 1, "float64"), rule, seed=seed)


def words() -> Batch:
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, WORDS, size=(STEPS + 1, BATCH, LENGTH))
    labels = rng.integers(CLASSES, size=(STEPS + 1, BATCH))
    return Batch(tf.constant(tokens, tf.int32), tf.constant(labels, tf.int32))


def embedding(rule) -> Problem:
    student = student_of(
        (LENGTH,), lambda: layers.Embedding(WORDS + 5, 3), layers.GlobalAveragePooling1D
    )
    return taught(student, words(), rule)


def padded(inputs: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Sets what lies beyond the lengths of step t to 0."""
    kept = tf.cast(tf.sequence_mask(LENGTHS[t], LENGTH), inputs.dtype)
    return inputs * tf.reshape(kept, [*kept.shape, *([1] * (len(inputs.shape) - 2))])


def trimmed(inputs: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Also cuts the batch to its longest sequence."""
    return padded(inputs, t)[:, : tf.reduce_max(LENGTHS[t])]


def lstm() -> keras.layers.Layer:
    return layers.LSTM(3, use_cudnn=False)


def lstm_of_words(rule, prepare=padded) -> Problem:
    student = student_of((None,), lambda: layers.Embedding(WORDS, 3, mask_zero=True), lstm)
    return taught(student, words(), rule, prepare=prepare)


def lstm_of_vectors(rule) -> Problem:
    student = student_of((LENGTH, 2), layers.Masking, lstm)
    return taught(student, images((LENGTH, 2), STEPS + 1, "float64"), rule, prepare=padded)


CASES = {
    "batch norm, momentum": lambda: batch_norm(MOMENTUM),
    "batch norm, adam": lambda: batch_norm(ADAM),
    "dropout": lambda: dropout(MOMENTUM),
    **{f"embedding, {name}": lambda rule=rule: embedding(rule) for name, rule in RULES.items()},
    "lstm of words, padded": lambda: lstm_of_words(MOMENTUM),
    "lstm of words, trimmed": lambda: lstm_of_words(ADAM, trimmed),
    "lstm of vectors": lambda: lstm_of_vectors(MOMENTUM),
}
each_case = pytest.mark.parametrize("make", CASES.values(), ids=CASES)


@each_case
def test_every_kind_of_student(make):
    problem = make()
    got = WithEngine(problem).every_policy(2, None)
    assert_same(got, full_unroll(problem), rtol=1e-9, atol=1e-11)
    assert_is_that_of_differences(got, problem, step=1e-3, directions=1)


@pytest.mark.parametrize(
    "name", ["batch norm, momentum", "dropout", "embedding, adam", "lstm of words, padded"]
)
def test_with_jit(name):
    problem = dataclasses.replace(CASES[name](), num_steps=2)
    got = WithEngine(problem, jit_compile=True)("memory")
    if name == "dropout":
        # From the same seed XLA draws other numbers than TensorFlow.
        want = tf.function(lambda: full_unroll(problem), jit_compile=True)()
    else:
        want = full_unroll(problem)
    assert_same(got, want, rtol=1e-9, atol=1e-11)


def test_moving_statistics_are_carried_and_differentiated_through():
    problem = batch_norm(MOMENTUM)
    whole = full_unroll(problem).gradients["phi"]

    def stopped_loss(*arguments):
        loss, variables = problem.inner_loss(*arguments)
        return loss, [tf.stop_gradient(variable) for variable in variables]

    stopped = full_unroll(dataclasses.replace(problem, inner_loss=stopped_loss)).gradients["phi"]
    assert not np.allclose(whole, stopped, rtol=0.01)
    assert len(problem.variables) == 2

    def frozen_loss(weights, variables, coefficients, batch):
        loss, _ = problem.inner_loss(weights, variables, coefficients, batch)
        return loss, variables

    frozen = full_unroll(dataclasses.replace(problem, inner_loss=frozen_loss))
    assert not np.isclose(full_unroll(problem).value, frozen.value, rtol=0.01)


def test_dropout_is_a_function_of_the_seed_and_the_step():
    runs = [full_unroll(dropout(MOMENTUM, seed)) for seed in (1, 1, 2)]
    assert_same(runs[0], runs[1], rtol=0, atol=0)
    assert not np.allclose(runs[0].value, runs[2].value)
    assert not np.allclose(runs[0].gradients["phi"], runs[2].gradients["phi"])

    problem = dropout(MOMENTUM)
    at_step = [
        problem.inner_loss(problem.weights, [], problem.coefficients, (t, problem.batch_fn(0)[1]))[
            0
        ]
        for t in (0, 1, 0)
    ]
    assert at_step[0] == at_step[2] != at_step[1]


def test_embeddings_have_sparse_gradients():
    problem = embedding(ADAM)
    batch = problem.batch_fn(0)
    tokens = batch[1].inputs.numpy()
    assert len(np.unique(tokens)) < tokens.size
    with tf.GradientTape() as tape:
        tape.watch(problem.weights)
        loss, _ = problem.inner_loss(problem.weights, [], problem.coefficients, batch)
    gradient = tape.gradient(loss, problem.weights)[0]
    assert isinstance(gradient, tf.IndexedSlices)
    _, _, (of_table, *_) = full_unroll(problem)
    np.testing.assert_array_equal(of_table[WORDS:], 0.0)
    assert np.all(np.any(of_table[1:WORDS] != 0.0, axis=1))


def test_padding_does_not_count():
    """A batch has the same loss whether it is cut to its longest sequence or not."""
    problem = lstm_of_words(MOMENTUM)
    _, (inputs, targets) = problem.batch_fn(1)
    cut, unmasked = inputs[:, :2], tf.where(inputs == 0, tf.ones_like(inputs), inputs)
    losses = [
        problem.inner_loss(problem.weights, [], problem.coefficients, (1, Batch(words, targets)))[0]
        for words in (inputs, cut, unmasked)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)
    assert not np.allclose(losses[0], losses[2])


def test_regularisers_of_the_model_enter_the_inner_loss():
    batches = images((5,), STEPS + 1, "float64")
    strength = keras.regularizers.L2(0.25)
    regularised = taught(
        student_of((5,), lambda: layers.Dense(4, "tanh", kernel_regularizer=strength)),
        batches,
        MOMENTUM,
    )
    plain = taught(student_of((5,), dense), batches, MOMENTUM)

    def inner_loss(weights, variables, coefficients, batch):
        loss, variables = plain.inner_loss(weights, variables, coefficients, batch)
        return loss + 0.25 * tf.reduce_sum(weights[0] ** 2), variables

    by_hand = dataclasses.replace(plain, inner_loss=inner_loss, weights=regularised.weights)
    got = WithEngine(regularised)("memory")
    assert_same(got, full_unroll(by_hand), rtol=1e-10, atol=1e-11)
    assert not np.allclose(got.value, full_unroll(plain).value)
