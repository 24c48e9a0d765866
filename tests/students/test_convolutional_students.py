"""Residual, wide and dense networks: their published sizes, and what a block of each does."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.students import Student, densenet, resnet, wide_resnet

CIFAR, MNIST = (32, 32, 3), (28, 28, 1)
# The trainable weights: moving statistics of batch norm do not count.
EXACT = [
    (resnet, {"depth": 8}, 10, 75_290),
    (resnet, {"depth": 8, "shortcut": "projection"}, 10, 78_042),
]
PUBLISHED = [
    (resnet, {"depth": 20}, 0.27),
    (resnet, {"depth": 32}, 0.46),
    (resnet, {"depth": 44}, 0.66),
    (resnet, {"depth": 56}, 0.85),
    (resnet, {"depth": 110}, 1.7),
    (wide_resnet, {"depth": 40, "width": 4}, 8.9),
    (wide_resnet, {"depth": 16, "width": 8}, 11.0),
    (wide_resnet, {"depth": 28, "width": 10}, 36.5),
    (wide_resnet, {"depth": 40, "width": 10}, 55.8),
    (densenet, {"depth": 100, "growth_rate": 12}, 0.8),
    (densenet, {"depth": 190, "growth_rate": 40}, 25.6),
]
TINY = {
    resnet: {"channels": 2},
    wide_resnet: {"depth": 10, "width": 1, "channels": 2},
    densenet: {"depth": 10, "growth_rate": 2},
}


def num_weights(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)


@pytest.mark.parametrize(("build", "settings", "classes", "count"), EXACT)
def test_exact_numbers_of_weights(build, settings, classes, count) -> None:
    assert num_weights(build(CIFAR, classes, **settings)) == count


@pytest.mark.parametrize(("build", "settings", "millions"), PUBLISHED)
def test_published_numbers_of_weights(build, settings, millions) -> None:
    model = build(CIFAR, 10, **settings)
    assert model.output_shape == (None, 10)
    digits = 1 if millions >= 1 or build is densenet else 2
    assert round(num_weights(model) / 1e6, digits) == millions


@pytest.mark.parametrize("build", TINY)
@pytest.mark.parametrize(("shape", "classes"), [(CIFAR, 100), (MNIST, 10), ((1, 3, 2), 2)])
def test_any_image_and_number_of_classes(build, shape, classes) -> None:
    model = build(shape, classes, **TINY[build])
    assert model(tf.zeros([2, *shape])).shape == (2, classes)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(
        isinstance(layer.kernel_initializer, keras.initializers.HeNormal) for layer in layers
    )
    assert not any(layer.use_bias for layer in layers)


@pytest.mark.parametrize("build", TINY)
def test_a_saved_one_needs_nothing_of_this_package(build, tmp_path) -> None:
    model = build((8, 8, 3), 3, **TINY[build])
    assert "tf_l2t" not in model.to_json()
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    images = tf.random.stateless_normal([2, 8, 8, 3], [0, 0])
    np.testing.assert_array_equal(restored(images), model(images))


def test_identity_shortcuts_drop_pixels_and_add_zeros() -> None:
    """Blocks whose residual is 0 leave the first layer's output, thinned out twice."""
    model = resnet((9, 9, 2), 3, channels=2)
    norms = [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]
    assert len(norms) == 7
    for norm in norms[2::2]:
        norm.gamma.assign(tf.zeros_like(norm.gamma))
    images = tf.random.stateless_normal([2, 9, 9, 2], [0, 0])
    relu = next(each for each in model.layers if isinstance(each, keras.layers.ReLU))
    first = keras.Model(model.inputs, relu.output)
    features = keras.Model(model.inputs, model.layers[-1].input)(images)
    want = tf.reduce_mean(first(images)[:, ::4, ::4], axis=[1, 2])
    np.testing.assert_allclose(features, tf.pad(want, [[0, 0], [0, 6]]), rtol=1e-6)


def test_dropout_is_where_the_papers_have_it() -> None:
    for build, count in ((wide_resnet, 3), (densenet, 8)):
        model = build((8, 8, 1), 3, dropout_rate=0.3, **TINY[build])
        dropouts = [each for each in model.layers if isinstance(each, keras.layers.Dropout)]
        assert [each.rate for each in dropouts] == [0.3] * count
        without = build((8, 8, 1), 3, **TINY[build])
        assert not any(isinstance(each, keras.layers.Dropout) for each in without.layers)
        before = {type(each.input._keras_history.operation).__name__ for each in dropouts}
        assert before == {"ReLU" if build is wide_resnet else "Conv2D"}


@pytest.mark.parametrize("build", TINY)
def test_a_student_is_a_function_of_its_seed(build) -> None:
    student = Student(functools.partial(build, **TINY[build]), (8, 8, 3), 3)
    first, again, other = (student.initial(seed)[0] for seed in (1, 1, 2))
    assert all((a == b).numpy().all() for a, b in zip(first, again, strict=True))
    assert any((a != b).numpy().any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("build", "settings", "message"),
    [
        (resnet, {"depth": 18}, "resnet: depth must be 6n . 2, got 18"),
        (resnet, {"depth": 2}, "resnet: depth must be at least 8, got 2"),
        (resnet, {"channels": 0}, "resnet: channels must be at least 1"),
        (
            resnet,
            {"shortcut": "A"},
            "resnet: shortcut must be one of identity, projection, got 'A'",
        ),
        (wide_resnet, {"depth": 20}, "wide_resnet: depth must be 6n . 4, got 20"),
        (wide_resnet, {"width": 0}, "wide_resnet: width must be at least 1"),
        (wide_resnet, {"channels": 0}, "wide_resnet: channels must be at least 1"),
        (
            wide_resnet,
            {"dropout_rate": 30},
            r"wide_resnet: dropout_rate must be in \[0, 1\), got 30",
        ),
        (densenet, {"depth": 12}, "densenet: depth must be 6n . 4, got 12"),
        (densenet, {"growth_rate": 0}, "densenet: growth_rate must be at least 1"),
        (densenet, {"compression": 0}, r"densenet: compression must be in \(0, 1\], got 0"),
        (densenet, {"depth": 10, "compression": 1e-3}, "leaves nothing of 120 channels"),
        (densenet, {"dropout_rate": 1}, r"densenet: dropout_rate must be in \[0, 1\), got 1"),
    ],
)
def test_what_cannot_be_built_is_named(build, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        build((8, 8, 1), 3, **settings)
