"""Max pooling by blocks against that of Keras: values, both derivatives, odd sizes, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.students import BlockMaxPooling2D


def derivatives(layer, images, direction):
    """Returns the values, the gradient of a cubic of them and its Hessian along a direction."""
    with tf.GradientTape() as outer:
        outer.watch(images)
        with tf.GradientTape() as inner:
            inner.watch(images)
            pooled = layer(images)
            value = tf.reduce_sum(pooled**3 * tf.exp(tf.roll(pooled, 1, axis=1)))
        gradient = inner.gradient(value, images)
    return pooled, gradient, outer.gradient(gradient, images, direction)


@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "jit"])
@pytest.mark.parametrize(
    ("height", "width", "size"), [(4, 4, 2), (5, 7, 2), (7, 6, 3), (4, 4, 4), (3, 5, 1)]
)
def test_it_is_max_pooling_with_both_derivatives(height, width, size, jit_compile):
    rng = np.random.default_rng(0)
    images = tf.constant(rng.standard_normal((3, height, width, 2)))
    direction = tf.constant(rng.standard_normal(images.shape))
    ours = BlockMaxPooling2D(size, dtype="float64")
    call = lambda images: derivatives(ours, images, direction)
    if jit_compile is not None:
        call = tf.function(call, jit_compile=jit_compile)
    want = derivatives(keras.layers.MaxPooling2D(size, dtype="float64"), images, direction)
    assert np.abs(want[2]).max() > 0.1
    for one, other in zip(call(images), want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    assert ours.compute_output_shape((None, height, width, 2)) == (None, *want[0].shape[1:])


def test_of_a_batch_whose_size_is_not_known():
    images = tf.random.stateless_normal([3, 6, 4, 1], [0, 0])
    layer = BlockMaxPooling2D()
    compiled = tf.function(layer, input_signature=[tf.TensorSpec([None, 6, 4, 1])])
    np.testing.assert_array_equal(compiled(images), keras.layers.MaxPooling2D()(images))


def test_it_is_saved_and_restored(tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((9, 9, 1)), layers.Conv2D(2, 2), BlockMaxPooling2D(3)])
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    images = tf.random.stateless_normal([2, 9, 9, 1], [1, 2])
    assert restored.layers[-1].pool_size == 3
    np.testing.assert_array_equal(restored(images), model(images))
