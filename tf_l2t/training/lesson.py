"""The records of a student's training: what a step of it reads, and what was seen of all of it."""

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
    kept_seconds: float
    """What a warm start that was made before adds to its time, as `Warmed` has it."""
