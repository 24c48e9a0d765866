"""Hypergradients of the paper's students, with its loss: MLP, and LeNet with max pooling."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import CLASSES, images, taught
from oracles import (
    Hypergradient,
    WithEngine,
    assert_is_that_of_differences,
    assert_same,
    full_unroll,
)

from tf_l2t.differentiation import SGD, Adam
from tf_l2t.students import BlockMaxPooling2D, Student, lenet, mlp

IMAGE, TINY = (16, 16, 1), (4, 4, 1)
STEPS = 5
MOMENTUM = SGD(0.5, momentum=0.9)
ADAM = Adam(0.0625, epsilon=1e-2)
STUDENTS = {
    "mlp": lambda: Student(functools.partial(mlp, hidden=(7,)), IMAGE, CLASSES),
    "lenet": lambda: Student(lenet, IMAGE, CLASSES),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("student", STUDENTS.values(), ids=STUDENTS)
@pytest.mark.parametrize("rule", [MOMENTUM, ADAM], ids=["momentum", "adam"])
def test_students_in_float64(student, rule):
    problem = taught(student(), images(IMAGE, STEPS + 1, "float64"), rule)
    got = WithEngine(problem).every_policy(2, None)
    assert_same(got, full_unroll(problem), rtol=1e-9, atol=1e-11)
    # So short a step meets no kink of ReLU or max pooling.
    assert_is_that_of_differences(got, problem, step=1e-6, directions=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 1e-4)])
def test_lenet_with_jit_is_lenet_without(dtype, tolerance, request):
    if dtype == "float64":
        request.getfixturevalue("float64")
    results = []
    for jit_compile in (False, True):
        student = Student(functools.partial(lenet, xla_pooling=jit_compile), IMAGE, CLASSES)
        problem = taught(student, images(IMAGE, 4, dtype), MOMENTUM)
        results.append(WithEngine(problem, jit_compile)("memory", 3))
    assert_same(results[1], results[0], rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("float64")
def test_mlp_with_jit():
    problem = taught(STUDENTS["mlp"](), images(IMAGE, 4, "float64"), MOMENTUM)
    got = WithEngine(problem, jit_compile=True).every_policy(3)
    assert_same(got, full_unroll(problem), rtol=1e-9, atol=1e-11)


def run_with_jit(layers: list[keras.layers.Layer], where: str) -> Hypergradient:
    student = Student(lambda shape, _: keras.Sequential([keras.Input(shape), *layers]), TINY, 3)
    problem = taught(student, images(TINY, 3, "float32"), SGD(0.5))
    if where == "tf.function in the loss":
        problem = dataclasses.replace(problem, inner_loss=tf.function(problem.inner_loss))
    outside = where == "tf.function around it"
    run = WithEngine(problem, jit_compile=not outside)
    return tf.function(lambda: run("memory", 2), jit_compile=True)() if outside else run("memory")


each_place = pytest.mark.parametrize(
    "where", ["engine", "tf.function around it", "tf.function in the loss"]
)


@each_place
def test_max_pooling_with_jit_is_refused(where):
    layers = keras.layers
    student = [layers.Conv2D(2, 1), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(CLASSES)]
    with pytest.raises(ValueError, match="wrong second derivative of max pooling .*BlockMaxPool"):
        run_with_jit(student, where)


@each_place
def test_pooling_by_blocks_with_jit_is_not_refused(where):
    layers = keras.layers
    student = [layers.Conv2D(2, 1), BlockMaxPooling2D(2), layers.Flatten(), layers.Dense(CLASSES)]
    assert np.isfinite(run_with_jit(student, where).value)


def test_max_pooling_without_a_second_derivative_is_not_refused():
    layers = keras.layers
    student = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(CLASSES)]
    assert np.isfinite(run_with_jit(student, "engine").value)
