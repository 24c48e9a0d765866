"""Crops and flips against NumPy, drawn again as they were, and their borders."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import CropAndFlip

IMAGES = np.random.default_rng(0).standard_normal((50, 6, 5, 2)).astype("float32")
SEED = tf.constant([3, 7])


def by_numpy(images, draws, padding, mode):
    border = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    found = []
    for image, (top, left), mirrored in zip(
        np.pad(images, border, mode),
        draws["corner"].numpy(),
        draws["mirrored"].numpy(),
        strict=True,
    ):
        crop = image[top : top + images.shape[1], left : left + images.shape[2]]
        found.append(crop[:, ::-1] if mirrored else crop)
    return np.stack(found)


@pytest.mark.parametrize(
    ("augment", "mode"),
    [
        (CropAndFlip(), "constant"),
        (CropAndFlip(padding=2, flip=False), "constant"),
        (CropAndFlip(padding=3, fill="reflection"), "reflect"),
        (CropAndFlip(padding=0), "constant"),
    ],
)
@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "jit"])
def test_it_is_that_of_numpy(augment, mode, jit_compile) -> None:
    def run(images: tf.Tensor, seed: tf.Tensor):
        draws = augment.draw(seed, 50)
        return draws, augment(images, draws)

    compiled = run if jit_compile is None else tf.function(run, jit_compile=jit_compile)
    draws, changed = compiled(tf.constant(IMAGES), SEED)
    for name, want in run(tf.constant(IMAGES), SEED)[0].items():
        np.testing.assert_array_equal(draws[name], want)
    np.testing.assert_array_equal(changed, by_numpy(IMAGES, draws, augment.padding, mode))


def test_draws_are_even_and_a_function_of_the_seed() -> None:
    augment = CropAndFlip(padding=4)
    draws = {name: drawn.numpy() for name, drawn in augment.draw(SEED, 20_000).items()}
    counts = [np.bincount(draws["corner"][:, axis], minlength=9) for axis in (0, 1)]
    assert np.shape(counts) == (2, 9)
    np.testing.assert_allclose(np.divide(counts, 20_000 / 9), 1, atol=0.1)
    assert draws["mirrored"].mean() == pytest.approx(0.5, abs=0.02)
    columns = [*draws["corner"].T, draws["mirrored"]]
    np.testing.assert_allclose(np.corrcoef(columns), np.eye(3), atol=0.03)
    tf.random.set_seed(5)
    for name, again in augment.draw(SEED, 20_000).items():
        np.testing.assert_array_equal(again, draws[name])
    for other in ([3, 8], [4, 7]):
        drawn = augment.draw(tf.constant(other), 20_000)
        assert (drawn["corner"] != draws["corner"]).numpy().any(axis=1).mean() > 0.9


def test_without_flips() -> None:
    assert not CropAndFlip(flip=False).draw(SEED, 100)["mirrored"].numpy().any()


def test_it_says_what_it_is() -> None:
    said = CropAndFlip(padding=2, fill="reflection").describe()
    want = {"name": "CropAndFlip", "padding": 2, "flip": True, "fill": "reflection"}
    assert json.loads(json.dumps(said)) == want


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": -1}, "CropAndFlip: padding must be at least 0, got -1"),
        ({"padding": 4.5}, "CropAndFlip: padding must be a whole number"),
        ({"fill": "black"}, "CropAndFlip: fill must be one of zeros, reflection, got 'black'"),
    ],
)
def test_refuses(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        CropAndFlip(**arguments)


def test_a_reflection_has_to_fit() -> None:
    CropAndFlip(padding=4, fill="reflection").check((5, 5, 1))
    CropAndFlip(padding=9).check((2, 2, 1))
    with pytest.raises(ValueError, match="padding=4 has no reflection in images of 8x4"):
        CropAndFlip(padding=4, fill="reflection").check((8, 4, 1))
