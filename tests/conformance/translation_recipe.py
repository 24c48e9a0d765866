"""What score_recipe.py holds losses and measures to, for those of translations."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from score_recipe import CHECKS, CLASSES, Inputs, Score

from tf_l2t.data.vocabulary import EOS, PAD
from tf_l2t.types import Candidates, Sentences, TranslationOutputs, TranslationTargets

LENGTH, CANDIDATES = 3, 3


@dataclasses.dataclass(frozen=True)
class TranslationScore(Score):
    """A loss or a measure of translations; a vocabulary of as many words as there are classes."""

    batch: int = 3

    def inputs(self, dtype: tf.DType, logits: np.ndarray | None = None) -> dict[str, tf.Tensor]:
        """Gives every word of an example the same logits, where they are given."""
        rng = np.random.default_rng(5)
        if logits is None:
            reference = 0.3 * rng.normal(size=(self.batch, LENGTH, CLASSES))
            candidates = 0.3 * rng.normal(size=(self.batch, CANDIDATES, LENGTH, CLASSES))
        else:
            count = len(logits)
            reference = np.broadcast_to(logits[:, None], (count, LENGTH, CLASSES))
            candidates = np.broadcast_to(
                logits[:, None, None], (count, CANDIDATES, LENGTH, CLASSES)
            )
        values = {"logits": reference, "candidate_logits": candidates, **self.coefficients}
        return {name: tf.constant(value, dtype) for name, value in values.items()}

    def targets(self, count: int) -> TranslationTargets:
        """Returns references of 1 to 3 words; of each third example one candidate is missing."""
        words = np.array([[4, 1, EOS], [1, EOS, PAD], [EOS, PAD, PAD]])
        proposed = np.array(
            [
                [[4, EOS, PAD], [1, 4, EOS], [EOS, PAD, PAD]],
                [[1, 1, EOS], [4, EOS, PAD], [1, 2, 4]],
                [[2, 1, EOS], [1, EOS, PAD], [PAD, PAD, PAD]],
            ]
        )
        scores = [[0.4, 0.1, 0.0], [0.7, 0.2, 0.9], [0.3, 0.5, 0.6]]
        rows = np.arange(count) % 3
        candidates = Candidates(sentences(proposed[rows]), tf.constant(np.array(scores)[rows]))
        return TranslationTargets(
            sentences(words[rows]), tf.constant(2.0, tf.float64), candidates, tf.constant(count)
        )

    def target(self, targets: TranslationTargets, i: int) -> TranslationTargets:
        """Keeps the mean length of the whole batch."""
        return tf.nest.map_structure(lambda v: v[i : i + 1] if v.shape.rank else v, targets)


def sentences(ids: np.ndarray) -> Sentences:
    """Returns them with their lengths."""
    return Sentences(tf.constant(ids, tf.int32), tf.constant((ids != PAD).sum(-1), tf.int32))


def outputs_of(inputs: Inputs) -> TranslationOutputs:
    """Returns what a student would."""
    return TranslationOutputs(inputs["logits"], inputs["candidate_logits"])


def check_padding(score: Score) -> None:
    """More padding, whatever the student says there, changes neither value nor gradient."""
    rng = np.random.default_rng(9)
    inputs, targets = score.inputs(tf.float64), score.targets(score.batch)

    def wider(sentences: Sentences, by: int) -> Sentences:
        margin = [[0, 0]] * (sentences.ids.shape.rank - 1) + [[0, by]]
        return Sentences(tf.pad(sentences.ids, margin), sentences.lengths)

    def longer(logits: tf.Tensor, by: int) -> tf.Tensor:
        shape = [*logits.shape[:-2], by, CLASSES]
        return tf.concat([logits, 5 * rng.normal(size=shape)], axis=-2)

    candidates = targets.candidates._replace(sentences=wider(targets.candidates.sentences, 4))
    padded_targets = targets._replace(sentences=wider(targets.sentences, 2), candidates=candidates)
    padded = {
        **inputs,
        "logits": longer(inputs["logits"], 2),
        "candidate_logits": longer(inputs["candidate_logits"], 4),
    }
    values, gradient = value_and_gradient(score.function, inputs, targets)
    padded_values, padded_gradient = value_and_gradient(score.function, padded, padded_targets)
    np.testing.assert_allclose(padded_values, values, rtol=1e-12)
    for name in ("logits", "candidate_logits"):
        got, length = padded_gradient[name], inputs[name].shape[-2]
        np.testing.assert_allclose(got[..., :length, :], gradient[name], rtol=1e-12, atol=1e-15)
        assert np.all(got[..., length:, :] == 0)


def check_masked_words(score: Score) -> None:
    """The logits behind the end of a sentence have no derivative."""
    inputs, targets = score.inputs(tf.float64), score.targets(score.batch)
    _, gradient = value_and_gradient(score.function, inputs, targets)
    behind = targets.sentences.mask(tf.float64) == 0
    assert np.all(gradient["logits"][behind] == 0)
    behind = targets.candidates.sentences.mask(tf.float64) == 0
    assert np.all(gradient["candidate_logits"][behind] == 0)


def check_unknown_shapes(score: Score) -> None:
    """It and both derivatives work where neither the batch's nor a sentence's size is known."""
    inputs, targets = score.inputs(tf.float64), score.targets(score.batch)

    def loosen(tensor: tf.Tensor, classes: bool) -> tf.TensorSpec:
        last = [tensor.shape[-1]] if classes else [None]
        shape = [None] * (tensor.shape.rank - 1) + last if tensor.shape.rank else []
        return tf.TensorSpec(shape, tensor.dtype)

    def twice(inputs: Inputs, targets: TranslationTargets) -> tuple:
        zero = tf.UnconnectedGradients.ZERO
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                values = score.function(inputs, targets)
            gradient = inner.gradient(values, inputs, unconnected_gradients=zero)
            squares = tf.add_n(
                [tf.reduce_sum(tf.square(tf.convert_to_tensor(g))) for g in gradient.values()]
            )
        second = outer.gradient(squares, inputs, unconnected_gradients=zero)
        return values, [tf.convert_to_tensor(part) for part in second.values()]

    specs = [
        {
            name: loosen(v, True) if "logits" in name else tf.TensorSpec(v.shape, v.dtype)
            for name, v in inputs.items()
        },
        tf.nest.map_structure(lambda v: loosen(v, False), targets),
    ]
    loose = tf.function(twice, input_signature=specs)
    for got, want in zip(
        tf.nest.flatten(loose(inputs, targets)),
        tf.nest.flatten(twice(inputs, targets)),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-14)


def value_and_gradient(
    function: Callable[[Inputs, TranslationTargets], tf.Tensor],
    inputs: Inputs,
    targets: TranslationTargets,
) -> tuple:
    """Returns them for the sum of the batch, zeros where an input is not read."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = function(inputs, targets)
    gradient = tape.gradient(values, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return values, {name: tf.convert_to_tensor(part).numpy() for name, part in gradient.items()}


TRANSLATION_CHECKS = [*CHECKS, check_padding, check_masked_words, check_unknown_shapes]
