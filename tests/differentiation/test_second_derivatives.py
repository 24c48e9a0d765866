"""The transposed Jacobian of a step against differences, for the layers that students are made of.

A full unroll cannot show that a second derivative of TensorFlow's is wrong: this can.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import central_differences

from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.moments import exact_moments
from tf_l2t.differentiation.step import TrainingStep, floating
from tf_l2t.students import BlockMaxPooling2D, Student
from tf_l2t.types import StudentState

pytestmark = pytest.mark.usefixtures("float64")

layers = keras.layers
ACTIVATIONS = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "sparse_plus",
    "squareplus",
    "tanh",
    "tanh_shrink",
)
VECTORS = {
    **{name: lambda name=name: layers.Activation(name) for name in ACTIVATIONS},
    "gelu tanh": lambda: layers.Activation(lambda x: keras.activations.gelu(x, approximate=True)),
    "prelu": lambda: layers.PReLU(alpha_initializer="uniform"),
    "batch norm": layers.BatchNormalization,
    "layer norm": layers.LayerNormalization,
    "rms norm": layers.RMSNormalization,
    "unit norm": layers.UnitNormalization,
    "dropout": lambda: layers.Dropout(0.5),
    "gaussian noise": lambda: layers.GaussianNoise(0.5),
}
SEQUENCES = {
    "conv1d": lambda: layers.Conv1D(3, 2, padding="causal"),
    "gru": lambda: layers.GRU(3, use_cudnn=False),
    "lstm": lambda: layers.LSTM(3, use_cudnn=False, recurrent_dropout=0.5),
    "bidirectional": lambda: layers.Bidirectional(layers.SimpleRNN(2)),
    "average pooling": lambda: layers.AveragePooling1D(2),
    "global max pooling": layers.GlobalMaxPooling1D,
}
IMAGES = {
    "conv2d": lambda: layers.Conv2D(3, 2, strides=2, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3),
    "separable": lambda: layers.SeparableConv2D(3, 2),
    "transposed": lambda: layers.Conv2DTranspose(2, 2, strides=2),
    "batch norm": layers.BatchNormalization,
    "group norm": lambda: layers.GroupNormalization(2),
    "max pooling": lambda: layers.MaxPooling2D(2),
    "overlapping pooling": lambda: layers.MaxPooling2D(3, 1, padding="same"),
    "block pooling": BlockMaxPooling2D,
    "global average": layers.GlobalAveragePooling2D,
    "upsampling": lambda: layers.UpSampling2D(2),
    "spatial dropout": lambda: layers.SpatialDropout2D(0.5),
}


def attention() -> keras.Model:
    inputs = keras.Input((4, 4))
    attended = layers.MultiHeadAttention(2, 3)(inputs, inputs, use_causal_mask=True)
    return keras.Model(inputs, layers.LayerNormalization()(inputs + attended))


CASES = {
    **{f"vector, {name}": ((5,), layers.Dense, make) for name, make in VECTORS.items()},
    **{f"sequence, {name}": ((4, 2), layers.Dense, make) for name, make in SEQUENCES.items()},
    "sequence, attention": ((4, 2), layers.Dense, attention),
    **{f"image, {n}": ((5, 5, 2), lambda u: layers.Conv2D(u, 2), m) for n, m in IMAGES.items()},
}


def step_of(shape: tuple[int, ...], before, make) -> tuple[TrainingStep, StudentState]:
    """A step of a student that has a layer between others with weights."""
    student = Student(
        lambda shape, classes: keras.Sequential(
            [keras.Input(shape), before(4), make(), layers.Flatten(), layers.Dense(classes)]
        ),
        shape,
        3,
    )
    inputs = tf.constant(np.random.default_rng(0).standard_normal((4, *shape)))
    targets = tf.constant([0, 1, 2, 1])

    def inner_loss(weights, variables, scale, batch):
        outputs, variables, _ = student(
            weights, variables, inputs, training=True, seed=tf.constant([1, 2])
        )
        log_p = tf.nn.log_softmax(scale * outputs.logits)
        return -tf.reduce_mean(tf.gather(log_p, targets, batch_dims=1)), variables

    step = TrainingStep(inner_loss, lambda t, context: (), SGD(0.5, momentum=0.5))
    return step, step.initial_state(*student.initial(3))


@pytest.mark.parametrize(("shape", "before", "make"), CASES.values(), ids=CASES)
def test_a_step_through_a_layer(shape, before, make):
    step, state = step_of(shape, before, make)
    scale, t, rng = tf.constant(1.5, tf.float64), tf.constant(0), np.random.default_rng(1)
    adjoint = [tf.constant(rng.standard_normal(each.shape)) for each in floating(state)]
    at = (state, scale)
    of_state, of_scale = step.vjp(step.saved(state), scale, t, (), adjoint)

    def value(at: tuple[StudentState, tf.Tensor]) -> float:
        after, _ = step(*at, t, ())
        products = [tf.reduce_sum(a * b) for a, b in zip(floating(after), adjoint, strict=True)]
        return float(sum(products))

    for _ in range(2):
        direction = tf.nest.map_structure(
            lambda x: tf.constant(0.1 * rng.standard_normal(x.shape)), at
        )
        want = central_differences(value, at, direction, 1e-5)
        pairs = zip([*of_state, *of_scale], tf.nest.flatten(direction), strict=True)
        got = sum(tf.reduce_sum(gradient * along) for gradient, along in pairs)
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_layer_without_a_second_derivative_is_refused():
    step, state = step_of((5,), layers.Dense, lambda: layers.Activation("softsign"))
    adjoint = floating(state)
    with pytest.raises(LookupError, match="no entry for: SoftsignGrad"):
        step.vjp(step.saved(state), tf.constant(1.0, tf.float64), tf.constant(0), (), adjoint)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_have_the_value_of_tensorflow_in_every_dtype(dtype, keepdims):
    x = tf.constant(np.random.default_rng(0).standard_normal((3, 4, 2)), dtype)
    tensorflows = tf.nn.moments
    want = tf.nn.moments(x, [0, 1], keepdims=keepdims)
    with exact_moments():
        with exact_moments():
            assert tf.nn.moments is not tensorflows
        assert tf.nn.moments is not tensorflows
        got = tf.nn.moments(x, [0, 1], keepdims=keepdims)
    assert tf.nn.moments is tensorflows
    for one, other in zip(got, want, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_moments_are_given_back_after_an_error():
    tensorflows = tf.nn.moments
    with pytest.raises(ZeroDivisionError), exact_moments():
        raise ZeroDivisionError
    assert tf.nn.moments is tensorflows
