"""A Keras model as a student: what it accepts, its seeds, and the model that comes out."""

import functools
import itertools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.students import Student, lenet, logistic_regression, mlp

layers = keras.layers
SHAPE, CLASSES = (6,), 3
INPUTS = tf.constant(np.random.default_rng(0).standard_normal((4, *SHAPE)), tf.float32)


class Subclassed(keras.Model):
    """A user's own model, which Keras builds at its first call."""

    def __init__(self, classes: int, activation: str | None = None) -> None:
        super().__init__()
        self.hidden = layers.Dense(5, activation="relu")
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.5)
        self.out = layers.Dense(classes, activation=activation)

    def call(self, inputs):
        return self.out(self.dropout(self.norm(self.hidden(inputs))))


class SubclassedWithTraining(Subclassed):
    """Passes on itself whether it is trained."""

    def call(self, inputs, training=False):
        return self.out(self.dropout(self.norm(self.hidden(inputs)), training=training))


def sequential(shape, classes) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Dense(5), layers.Dense(classes)])


def unbuilt_sequential(shape, classes) -> keras.Model:
    return keras.Sequential([layers.Dense(5, activation="relu"), layers.Dense(classes)])


def grown_sequential(shape, classes) -> keras.Model:
    model = keras.Sequential()
    for layer in (keras.Input(shape), layers.Dense(5), layers.ReLU(), layers.Dense(classes)):
        model.add(layer)
    return model


def functional(shape, classes) -> keras.Model:
    """Two branches, and weights, moving statistics and dropout in each."""
    inputs = keras.Input(shape)
    left = layers.Dropout(0.5)(layers.BatchNormalization()(layers.Dense(4)(inputs)))
    right = layers.BatchNormalization()(layers.Dropout(0.25)(layers.Dense(5)(inputs)))
    return keras.Model(inputs, layers.Dense(classes)(layers.Concatenate()([left, right])))


def shared(shape, classes) -> keras.Model:
    """Calls its last layer twice."""
    inputs, last = keras.Input(shape), layers.Dense(classes)
    widened = layers.Dense(6)(last(inputs))
    return keras.Model(inputs, last(widened))


def scaled(shape, classes) -> keras.Model:
    """Divides the logits of its last layer."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(classes)(inputs) / 2.0)


def frozen(shape, classes) -> keras.Model:
    model = sequential(shape, classes)
    model.layers[-1].trainable = False
    return model


def nested(shape, classes) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Dense(4), sequential((4,), classes)])


WITH_FEATURES = [sequential, unbuilt_sequential, grown_sequential, functional, shared]
SUBCLASSED = [
    lambda shape, classes: Subclassed(classes),
    lambda shape, classes: SubclassedWithTraining(classes),
]
WITHOUT = [scaled, frozen, nested, *SUBCLASSED]


@pytest.mark.parametrize("build", WITH_FEATURES + WITHOUT)
def test_a_users_own_model(build):
    student = Student(build, SHAPE, CLASSES)
    weights, variables = student.initial(seed=3)
    # Numbers that show an exchange of two weights or statistics of the same shape.
    weights = [weight + 0.01 * (k + 1) for k, weight in enumerate(weights)]
    variables = [variable + 0.1 * (k + 1) for k, variable in enumerate(variables)]
    outputs, same, penalty = student(weights, variables, INPUTS, training=False)
    model = student.model_with(weights, variables)
    np.testing.assert_allclose(model(INPUTS), outputs.logits, rtol=1e-5, atol=1e-6)
    assert isinstance(model, keras.Model)
    assert outputs.logits.shape == (4, CLASSES)
    assert penalty == 0.0
    assert student.num_weights == sum(w.shape.num_elements() for w in weights)
    for one, other in zip(same, variables, strict=True):
        np.testing.assert_array_equal(one, other)
    if build in WITHOUT:
        assert outputs.features is None
        assert outputs.kernel is None
    else:
        bias = weights[[w is outputs.kernel for w in weights].index(True) + 1]
        np.testing.assert_allclose(
            outputs.features @ outputs.kernel + bias, outputs.logits, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("build", [functional, *SUBCLASSED])
def test_training_moves_the_statistics_and_the_seed_the_dropout(build):
    student = Student(build, SHAPE, CLASSES)
    weights, variables = student.initial(seed=0)
    runs = [
        student(weights, variables, INPUTS, training=True, seed=tf.constant(seed))
        for seed in ([1, 0], [1, 0], [1, 1], [2, 0])
    ]
    logits = [outputs.logits for outputs, *_ in runs]
    np.testing.assert_array_equal(logits[0], logits[1])
    for other in logits[2:]:
        assert not np.allclose(logits[0], other)
    _, moved, _ = runs[0]
    assert len(moved) == len(variables) > 0
    assert not any(np.allclose(a, b) for a, b in zip(moved, variables, strict=True))
    evaluated, still, _ = student(weights, variables, INPUTS, training=False)
    again, *_ = student(weights, variables, INPUTS, training=False, seed=tf.constant([5, 5]))
    np.testing.assert_array_equal(evaluated.logits, again.logits)
    for one, other in zip(still, variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_dropout_layers_draw_apart():
    def build(shape, classes):
        inputs = keras.Input(shape)
        branches = [layers.Dropout(0.5)(inputs) for _ in range(2)]
        return keras.Model(inputs, layers.Dense(classes)(layers.Subtract()(branches)))

    student = Student(build, SHAPE, CLASSES)
    weights, variables = student.initial(0)
    outputs, *_ = student(weights, variables, INPUTS, training=True, seed=tf.constant([0, 0]))
    assert np.abs(outputs.features).max() > 0


def test_layers_that_are_called_twice_draw_apart():
    class Model(keras.Model):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.dropouts = [layers.Dropout(0.5) for _ in range(2)]
            self.dense = layers.Dense(classes)
            self.masks: list[np.ndarray] = []
            self(tf.zeros([1, *SHAPE]))

        def call(self, x, training=False):
            for _ in range(2):
                x += sum(self.masked(dropout, x, training) for dropout in self.dropouts)
            return self.dense(x)

        def masked(self, dropout, x, training):
            mask = dropout(tf.ones([400]), training=training)
            if training:
                self.masks.append(mask.numpy())
            return tf.reduce_mean(mask) * x

    student = Student(lambda shape, classes: Model(classes), SHAPE, CLASSES)
    weights, variables = student.initial(0)
    student(weights, variables, INPUTS, training=True, seed=tf.constant([0, 0]))
    masks = student.model.masks
    assert len(masks) == 4
    for one, other in itertools.combinations(masks, 2):
        assert 0.4 < np.mean(one == other) < 0.6


def test_weights_are_a_function_of_the_seed():
    student = Student(functional, SHAPE, CLASSES)
    first, again, other = (student.initial(seed)[0] for seed in (7, 7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    kernels = [k for k, weight in enumerate(first) if len(weight.shape) == 2]
    assert not any(np.array_equal(first[k], other[k]) for k in kernels)
    elsewhere, _ = Student(functional, SHAPE, CLASSES).initial(7)
    for one, two in zip(first, elsewhere, strict=True):
        np.testing.assert_array_equal(one, two)


def test_global_random_state_is_left_alone():
    student = Student(functional, SHAPE, CLASSES)

    def draw() -> list:
        return [random.random(), np.random.random(), float(tf.random.normal([]))]

    drawn = []
    for call in (lambda: None, lambda: student.initial(1)):
        random.seed(0)
        np.random.seed(0)
        tf.random.set_seed(0)
        draw()
        call()
        drawn.append(draw())
    assert drawn[0] == drawn[1]


def test_global_random_state_is_left_alone_after_an_error():
    calls = []

    def build(shape, classes):
        calls.append(shape)
        if len(calls) > 1:
            raise RuntimeError("out of layers")
        return sequential(shape, classes)

    student = Student(build, SHAPE, CLASSES)
    random.seed(0)
    want = random.Random(0).random()
    with pytest.raises(RuntimeError, match="out of layers"):
        student.initial(1)
    assert random.random() == want


def ending(*last: keras.layers.Layer):
    return lambda shape, classes: keras.Sequential([keras.Input(shape), *last])


def softmax_of_an_operation(shape, classes) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.ops.softmax(layers.Dense(classes)(inputs)))


PROBABILITIES = {
    "dense": ending(layers.Dense(CLASSES, activation="softmax")),
    "sigmoid": ending(layers.Dense(CLASSES, activation="sigmoid")),
    "activation": ending(layers.Dense(CLASSES), layers.Activation("softmax")),
    "layer": ending(layers.Dense(CLASSES), layers.Softmax()),
    "operation": softmax_of_an_operation,
    "nested": lambda shape, classes: keras.Sequential(
        [keras.Input(shape), softmax_of_an_operation(shape, classes)]
    ),
    "subclassed": lambda shape, classes: Subclassed(classes, "softmax"),
}


@pytest.mark.parametrize("build", PROBABILITIES.values(), ids=PROBABILITIES)
def test_probabilities_are_refused(build):
    with pytest.raises(ValueError, match="must return logits, got a last layer with s.* remove"):
        Student(build, SHAPE, CLASSES)


@pytest.mark.parametrize(
    "build",
    [
        ending(layers.Dense(CLASSES + 1)),
        ending(layers.Reshape((1, 6)), layers.Dense(CLASSES)),
        lambda shape, classes: keras.Model(i := keras.Input(shape), [layers.Dense(classes)(i)] * 2),
        lambda shape, classes: Subclassed(classes + 1),
    ],
)
def test_a_wrong_number_of_outputs_is_refused(build):
    with pytest.raises(ValueError, match=r"shape \(batch, 3\), got .*; give its last layer 3"):
        Student(build, SHAPE, CLASSES)


@pytest.mark.parametrize(
    ("build", "number"), [(lenet, 61_706), (mlp, 397_510), (logistic_regression, 7_850)]
)
def test_numbers_of_weights_on_mnist(build, number):
    assert Student(build, (28, 28, 1), 10).num_weights == number


def test_widths_of_the_mlp():
    student = Student(functools.partial(mlp, hidden=(4, 5)), (2, 3), CLASSES)
    assert [tuple(w.shape) for w in student.initial(0)[0]] == [
        *((6, 4), (4,), (4, 5), (5,), (5, 3), (3,))
    ]


def test_the_penalty_is_that_of_the_model():
    def build(shape, classes):
        hidden = layers.Dense(
            5,
            kernel_regularizer=keras.regularizers.L2(0.25),
            activity_regularizer=keras.regularizers.L1(0.125),
        )
        last = layers.Dense(classes, bias_regularizer="l1")
        return keras.Sequential([keras.Input(shape), hidden, last])

    student = Student(build, SHAPE, CLASSES)
    weights = [weight + 0.1 for weight in student.initial(0)[0]]
    _, _, penalty = student(weights, [], INPUTS, training=True, seed=tf.constant([0, 0]))
    model = student.model_with(weights, [])
    model(INPUTS)
    assert len(model.losses) == 3
    np.testing.assert_allclose(penalty, sum(model.losses), rtol=1e-6)
