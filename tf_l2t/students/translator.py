"""What a model that translates offers, and such a model as a pure function of its weights."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.data.vocabulary import BOS, EOS, UNK
from tf_l2t.students.held_weights import HeldWeights
from tf_l2t.types import Nest, Sentences, TranslationInputs, TranslationOutputs


class Translator(keras.Model, abc.ABC):
    """A Keras model that reads a sentence, and writes another one word after word.

    `encode` and `decode` are for learning, `begin` and `step` for translating; both ways the
    logits of a word are the same. What lies beyond the lengths of the sentences is never read.
    A memory and a state are nests of tensors that have the batch in front.
    """

    def call(self, inputs: tuple[Sentences, Sentences], training: bool = False) -> tf.Tensor:
        """Returns the logits of each word of the target given those before it.

        Args:
            inputs: the source and the target, each (ids [batch, length], lengths [batch]).
            training: whether dropout is on.

        Returns:
            [batch, target length, words].
        """
        source, target = inputs
        encoded = self.encode(Sentences(*source), training)
        return self.decode(encoded, Sentences(*target), training)

    @abc.abstractmethod
    def encode(self, source: Sentences, training: bool = False) -> Nest:
        """Returns what `decode` is to know of the source sentences."""

    @abc.abstractmethod
    def decode(self, encoded: Nest, target: Sentences, training: bool = False) -> tf.Tensor:
        """Returns the logits of the target's words, [batch, target length, words]."""

    @abc.abstractmethod
    def begin(self, source: Sentences, max_length: Any) -> tuple[Nest, Nest]:
        """Returns the memory of the source sentences, and the state before the first word.

        Args:
            source: ids [batch, length], lengths [batch].
            max_length: no more words than this will be written, a scalar.
        """

    @abc.abstractmethod
    def step(
        self, ids: tf.Tensor, state: Nest, memory: Nest, position: tf.Tensor
    ) -> tuple[tf.Tensor, Nest]:
        """Writes one word of each translation.

        Args:
            ids: the word before, int32 [batch]; `BOS` for the first.
            state: what `begin` or the step before returned.
            memory: what `begin` returned.
            position: number of the word, int32 scalar, 0 for the first.

        Returns:
            The logits of the word, [batch, words], and the state after it.
        """


BuildTranslator = Callable[[int, int], Translator]


class TranslationStudent(HeldWeights):
    """A translator called on given weights, its dropout a function of (seed, step).

    Args:
        build: (source_size, target_size) -> a `Translator`.
        source_size: words of the source vocabulary.
        target_size: words of the target vocabulary.

    Raises:
        ValueError: if the model is no translator, or does not return a logit for each word.
    """

    def __init__(self, build: BuildTranslator, source_size: int, target_size: int) -> None:
        whole_number("TranslationStudent", "source_size", source_size, EOS + 1)
        whole_number("TranslationStudent", "target_size", target_size, EOS + 1)

        def built() -> Translator:
            return _built(build(source_size, target_size))

        model = built()
        _check(model, target_size)
        super().__init__(built, model)

    def __call__(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        inputs: TranslationInputs,
        *,
        training: bool,
        seed: tf.Tensor | None = None,
    ) -> tuple[TranslationOutputs, list[tf.Tensor], tf.Tensor]:
        """Runs the model; the source is encoded once for the reference and all candidates.

        Args:
            weights: trainable weights, like those of `initial`.
            variables: non-trainable variables, like those of `initial`.
            inputs: source and target, and candidates if their logits are wanted too.
            training: whether dropout is on.
            seed: int32 [2]; dropout is a function of it. Needed in training only.

        Returns:
            The outputs, the new non-trainable variables, and the sum of the model's own
            regularisation losses (a scalar).
        """

        def call(model: Translator) -> TranslationOutputs:
            encoded = model.encode(inputs.source, training)
            logits = model.decode(encoded, inputs.target, training)
            if inputs.candidates is None:
                return TranslationOutputs(logits)
            candidate_logits = decode_candidates(model, encoded, inputs.candidates, training)
            return TranslationOutputs(logits, candidate_logits)

        return self._run(call, weights, variables, seed)

    def begin(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        source: Sentences,
        max_length: Any,
    ) -> tuple[Nest, Nest]:
        """Returns the memory and the state, as `Translator.begin` does."""
        return self._run(lambda model: model.begin(source, max_length), weights, variables, None)[0]

    def step(
        self,
        weights: list[tf.Tensor],
        variables: list[tf.Tensor],
        ids: tf.Tensor,
        state: Nest,
        memory: Nest,
        position: tf.Tensor,
    ) -> tuple[tf.Tensor, Nest]:
        """Returns the logits of the next word and the state after it, as `Translator.step` does."""
        outputs, _, _ = self._run(
            lambda model: model.step(ids, state, memory, position), weights, variables, None
        )
        return outputs


def decode_candidates(
    model: Translator, encoded: Nest, candidates: Sentences, training: bool = False
) -> tf.Tensor:
    """Returns what `decode` says of several targets of each sentence that was encoded once.

    Args:
        model: the translator.
        encoded: what its `encode` returned, [batch, ...].
        candidates: the targets, ids [batch, candidates, length].
        training: whether dropout is on.

    Returns:
        [batch, candidates, length, words].
    """
    ids, lengths = candidates
    batch, number, length = tf.unstack(tf.shape(ids))
    repeated = tf.nest.map_structure(lambda each: tf.repeat(each, number, 0), encoded)
    flat = Sentences(
        tf.reshape(ids, [batch * number, length]), tf.reshape(lengths, [batch * number])
    )
    logits = model.decode(repeated, flat, training)
    return tf.reshape(logits, [batch, number, length, logits.shape[-1]])


def shifted_right(target: Sentences) -> tf.Tensor:
    """Returns what a decoder reads for each word of the target: `BOS`, then the words before it."""
    first = tf.fill([tf.shape(target.ids)[0], 1], tf.constant(BOS, target.ids.dtype))
    return tf.concat([first, target.ids[:, :-1]], 1)


def _on_two_words(model: Translator) -> tf.Tensor:
    sentence = Sentences(tf.constant([[UNK, EOS]]), tf.constant([2]))
    return model((sentence, sentence))


def _built(model: Any) -> Translator:
    if not isinstance(model, Translator):
        raise ValueError(
            f"TranslationStudent: build must return a Translator, got {model!r}; let the model "
            "inherit from tf_l2t.students.Translator."
        )
    if not model.built:
        _on_two_words(model)
    return model


def _check(model: Translator, target_size: int) -> None:
    shape = tuple(_on_two_words(model).shape)
    if shape != (1, 2, target_size):
        raise ValueError(
            f"the student {model.name!r} must return logits of shape (batch, target length, "
            f"{target_size}), got {shape} for a sentence of two words; give its last layer "
            f"{target_size} units, the words of the target vocabulary."
        )
