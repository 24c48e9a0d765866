import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.measures import accuracy


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("jit", [False, True])
def test_accuracy(dtype, jit):
    logits = tf.constant([[1, 2, 3], [3, 1, 2], [0, 5, 1], [7, 7, 0]], dtype)
    got = tf.function(accuracy, jit_compile=jit)(logits, tf.constant([2, 1, 1, 0]))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [1, 0, 1, 1])


def test_targets_of_another_integer_type():
    got = accuracy(tf.constant([[1.0, 2.0]]), tf.constant([1], tf.int64))
    np.testing.assert_array_equal(got, [1])
