"""A translator as a student: what it accepts, and what its weights and its seed decide."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.students import (
    TranslationStudent,
    Translator,
    lstm_translator,
    transformer_translator,
)
from tf_l2t.types import Sentences, TranslationInputs

SOURCE_SIZE, TARGET_SIZE = 10, 7


class Bag(Translator):
    """A user's own translator, which says the same at every position."""

    def __init__(self, source_size: int, target_size: int) -> None:
        super().__init__()
        self.embedding = keras.layers.Embedding(source_size, 4, embeddings_regularizer="l2")
        self.norm = keras.layers.BatchNormalization()
        self.logits = keras.layers.Dense(target_size)

    def encode(self, source, training=False):
        mask = source.mask(self.compute_dtype)[..., tf.newaxis]
        bag = tf.reduce_sum(self.embedding(source.ids) * mask, 1)
        return self.logits(self.norm(bag, training=training))

    def decode(self, encoded, target, training=False):
        return tf.repeat(encoded[:, tf.newaxis], tf.shape(target.ids)[1], 1)

    def begin(self, source, max_length):
        return self.encode(source), ()

    def step(self, ids, state, memory, position):
        return memory, state


def inputs() -> TranslationInputs:
    source = Sentences(tf.constant([[4, 5, 3], [6, 3, 0]]), tf.constant([3, 2]))
    return TranslationInputs(source, Sentences(tf.constant([[5, 3], [3, 0]]), tf.constant([2, 1])))


def test_a_users_own_translator():
    student = TranslationStudent(Bag, SOURCE_SIZE, TARGET_SIZE)
    weights, variables = student.initial(3)
    assert student.num_weights == 4 * SOURCE_SIZE + 2 * 4 + 5 * TARGET_SIZE
    seed = tf.constant([0, 0])
    outputs, moved, penalty = student(weights, variables, inputs(), training=True, seed=seed)
    assert outputs.logits.shape == (2, 2, TARGET_SIZE)
    assert outputs.candidate_logits is None
    assert len(moved) == len(variables) == 2
    assert not any(np.allclose(a, b) for a, b in zip(moved, variables, strict=True))
    np.testing.assert_allclose(penalty, 0.01 * tf.reduce_sum(weights[0] ** 2), rtol=1e-6)
    model = student.model_with(weights, moved)
    want, still, _ = student(weights, moved, inputs(), training=False)
    np.testing.assert_allclose(model((inputs().source, inputs().target)), want.logits, rtol=1e-6)
    for one, other in zip(still, moved, strict=True):
        np.testing.assert_array_equal(one, other)
    memory, state = student.begin(weights, moved, inputs().source, 3)
    logits, _ = student.step(weights, moved, tf.constant([2, 2]), state, memory, tf.constant(0))
    np.testing.assert_allclose(logits, want.logits[:, 0], rtol=1e-6)


def test_weights_are_a_function_of_the_seed():
    build = functools.partial(lstm_translator, embedding=3, units=2)
    student = TranslationStudent(build, SOURCE_SIZE, TARGET_SIZE)
    first, again, other = (student.initial(seed)[0] for seed in (7, 7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="must return a Translator, got <Sequential"):
        TranslationStudent(lambda *_: keras.Sequential(), SOURCE_SIZE, TARGET_SIZE)


def test_a_wrong_number_of_words_is_refused():
    with pytest.raises(ValueError, match=r"target length, 7\), got \(1, 2, 8\) .*layer 7 units"):
        TranslationStudent(lambda s, t: Bag(s, t + 1), SOURCE_SIZE, TARGET_SIZE)


@pytest.mark.parametrize("sizes", [(3, 7), (10, 0)])
def test_a_vocabulary_without_words_is_refused(sizes):
    with pytest.raises(ValueError, match="_size must be at least 4, got"):
        TranslationStudent(lstm_translator, *sizes)


@pytest.mark.parametrize(
    ("build", "settings", "message"),
    [
        (lstm_translator, {"layers": 0}, "layers must be at least 1, got 0"),
        (lstm_translator, {"embedding": 0}, "embedding must be at least 1"),
        (lstm_translator, {"units": 1.5}, "units must be a whole number, got 1.5"),
        (lstm_translator, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        (lstm_translator, {"attention": "none"}, "attention must be one of before, after, got"),
        (transformer_translator, {"layers": 0}, "layers must be at least 1, got 0"),
        (transformer_translator, {"hidden": 0}, "hidden must be at least 1, got 0"),
        (transformer_translator, {"heads": 0}, "heads must be at least 1, got 0"),
        (transformer_translator, {"width": 10}, "multiple of heads, got 10 and 4; try 8"),
        (transformer_translator, {"dropout": 30}, r"dropout must be in \[0, 1\), got 30"),
    ],
)
def test_wrong_settings_are_refused(build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(SOURCE_SIZE, TARGET_SIZE, **settings)


def test_numbers_of_weights():
    """A bidirectional encoder, bridges, attention, a decoder of LSTMs, readout and logits."""
    e, u = 3, 4
    for layers in (1, 2):
        build = functools.partial(lstm_translator, layers=layers, embedding=e, units=u)
        student = TranslationStudent(build, SOURCE_SIZE, TARGET_SIZE)
        encoders = sum(2 * 4 * u * (width + u + 1) for width in (e, 2 * u)[:layers])
        decoders = sum(4 * u * (width + u + 1) for width in (e + 2 * u, u)[:layers])
        attention = 2 * u * u + u * u + u + u
        readout = (u + 2 * u + e + 1) * u + (u + 1) * TARGET_SIZE
        embeddings = e * (SOURCE_SIZE + TARGET_SIZE)
        bridges = layers * u * (u + 1)
        assert student.num_weights == (
            embeddings + encoders + bridges + attention + decoders + readout
        )


def test_tied_embeddings_are_one_matrix():
    numbers = []
    for tied in (True, False):
        build = functools.partial(
            transformer_translator, layers=1, width=8, hidden=4, heads=2, tied_embeddings=tied
        )
        numbers.append(TranslationStudent(build, SOURCE_SIZE, TARGET_SIZE).num_weights)
    assert numbers[1] - numbers[0] == 8 * TARGET_SIZE


def test_embeddings_of_words_begin_far_from_each_other():
    """A student whose words are all alike learns for long before it attends to any of them."""
    student = TranslationStudent(lstm_translator, 300, 200)
    weights, _ = student.initial(1)
    found = [np.std(w) for w in weights if w.shape in ((300, 256), (200, 256))]
    np.testing.assert_allclose(found, [0.3, 0.3], rtol=0.02)
