"""The records of teaching one student: a batch as its training step reads it, and the whole."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_l2t.differentiation.hypergradient import RolloutResult
from tf_l2t.types import Batch


class TaughtBatch(NamedTuple):
    """What the training step reads at step t."""

    t: tf.Tensor
    examples: list[Batch]
    """One for each part of the batch that this process works on."""
    state_vector: tf.Tensor
    """s_t, [|s|]; empty where there is no teacher."""
    dropout_seed: tf.Tensor
    """int32 [2]."""


class Lesson(NamedTuple):
    """One student after its training, and what was seen on the way."""

    rollout: RolloutResult
    steps: list[int]
    """First step of each segment."""
    training_loss: list[float]
    """Mean of each segment."""
    state_vectors: list[tf.Tensor]
    """s_t at the first step of each segment; empty where there is no teacher."""
    seed: int
    """Of the student."""
