"""What a teacher sees of a student that translates: the state vector of L2T-DLF, section 4.2."""

from __future__ import annotations

import tensorflow as tf

FEATURE_NAMES = ("t / T", "training BLEU", "dev BLEU")
FEATURE_DEFINITIONS = (
    "training step t, from 0, divided by the number of training steps T",
    "mean BLEU of the sentences of the observed training examples, greedily translated",
    "mean BLEU of the sentences of the observed dev examples, greedily translated",
)


def observation(training_bleu: tf.Tensor, dev_bleu: tf.Tensor) -> tf.Tensor:
    """Returns what is measured of a student for its state vector, float32 [2].

    Args:
        training_bleu: of the sentences of a subset of the training data, [n], in [0, 1].
        dev_bleu: of the sentences of a subset of the dev data, [m], in [0, 1].
    """
    means = [tf.reduce_mean(training_bleu), tf.reduce_mean(dev_bleu)]
    return tf.cast(tf.stack(means), tf.float32)
