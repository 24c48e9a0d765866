"""Greedy search: the likeliest word, one after the other."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_l2t.decoding.loop import Step, write
from tf_l2t.types import Nest, Sentences


def greedy(step: Step, memory: Nest, state: Nest, max_length: Any) -> Sentences:
    """Writes the likeliest word after those that are already there, until that is EOS.

        w_r = argmax_w p(w | w_1 … w_{r-1}, source)

    `PAD` and `BOS` are never written. A sentence that has not ended before it has as many words
    as it may ends there: its last word is EOS.

    Args:
        step: (ids [batch], state, memory, position) -> (logits [batch, words], state).
        memory: what the student's `begin` returned.
        state: what the student's `begin` returned.
        max_length: the most words of a sentence, EOS among them, a scalar or int32 [batch].

    Returns:
        ids [batch, length], lengths [batch].

    Raises:
        ValueError: for a max_length below 1.

    Example:
        memory, state = model.begin(source, max_length)
        translations = greedy(model.step, memory, state, max_length)
    """
    return write(
        step, memory, state, max_length, lambda logits, position: tf.argmax(logits, -1, tf.int32)
    )
