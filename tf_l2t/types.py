"""The records that the parts of tf_l2t hand to each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

Nest = Any
"""A tensor, or a list, tuple, dict or named tuple of nests (whatever `tf.nest` takes)."""


class Batch(NamedTuple):
    """Examples of one training or evaluation step."""

    inputs: Nest
    """What the student reads, [batch, ...]."""
    targets: Nest
    """What it should predict; for classification class indices, int32 [batch]."""


class Outputs(NamedTuple):
    """What a classifier returns for a batch, as losses and measures read it."""

    logits: tf.Tensor
    """Unnormalised log probabilities, [batch, classes]."""
    features: tf.Tensor | None = None
    """Input of the last layer, [batch, width]; None where that is no `Dense` layer."""
    kernel: tf.Tensor | None = None
    """Weights of the last layer, [width, classes]; None like `features`."""


class Sentences(NamedTuple):
    """Sentences as indices of words, padded at the end."""

    ids: tf.Tensor
    """int32 [..., length]; each sentence ends with `EOS`, and `PAD` follows (`data.vocabulary`)."""
    lengths: tf.Tensor
    """int32 [...], words of each sentence, `EOS` among them; 0 for a row that is no sentence."""

    def mask(self, dtype: tf.DType) -> tf.Tensor:
        """Returns 1 where there is a word and 0 where there is padding, [..., length]."""
        return tf.sequence_mask(self.lengths, tf.shape(self.ids)[-1], dtype)


class Candidates(NamedTuple):
    """Translations that were proposed for each example of a batch."""

    sentences: Sentences
    """ids int32 [batch, candidates, length], lengths int32 [batch, candidates]."""
    scores: tf.Tensor
    """Sentence BLEU of each, float32 [batch, candidates], in [0, 1]."""


class TranslationInputs(NamedTuple):
    """What a student that translates reads."""

    source: Sentences
    """[batch, source length]."""
    target: Sentences
    """[batch, target length]; the student is to predict word r from the words before it."""
    candidates: Sentences | None = None
    """[batch, candidates, length], if a loss or a measure asks for candidates."""


class TranslationTargets(NamedTuple):
    """What losses and measures of translations are given as their targets."""

    sentences: Sentences
    """The reference translations, [batch, target length]."""
    mean_length: tf.Tensor
    """Words of a reference, the mean over the whole batch, a scalar in Keras' floatx: what a sum
    over the words of an example is divided by, so that the mean of a batch is a mean over words
    however the batch is split."""
    candidates: Candidates | None = None
    """If the loss or measure asks for them."""
    num_examples: tf.Tensor | None = None
    """Sentences of the whole batch, of which these may be a part, an int32 scalar."""


class TranslationOutputs(NamedTuple):
    """What a student that translates returns for a batch."""

    logits: tf.Tensor
    """Unnormalised log probabilities of each word of the reference given those before it,
    [batch, target length, words]."""
    candidate_logits: tf.Tensor | None = None
    """The same of each candidate, [batch, candidates, length, words]; None without candidates."""


class StudentState(NamedTuple):
    """Everything that one training step reads and writes: z = (ω, slots, variables, loss state)."""

    weights: list[tf.Tensor]
    """Trainable weights ω."""
    slots: Nest
    """Slots of the update rule, such as velocities; () where it has none."""
    variables: list[tf.Tensor]
    """Non-trainable variables, such as moving statistics of batch norm."""
    loss_state: tuple[Nest, ...] = ()
    """Variables of the loss itself, such as a critic; () where it has none."""
