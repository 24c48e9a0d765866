"""The two vocabularies of a translation, made of the training side of a parallel text."""

from __future__ import annotations

from collections.abc import Callable

import gin

from tf_l2t.data.parallel_text import ParallelText
from tf_l2t.data.subwords import train_subwords
from tf_l2t.data.text_encoders import TextEncoder
from tf_l2t.data.words import count_words

MakeVocabularies = Callable[[ParallelText], tuple[TextEncoder, TextEncoder]]


@gin.register(module="tf_l2t")
def subword_vocabularies(
    text: ParallelText,
    vocabulary_size: int = 8000,
    *,
    joint: bool = True,
    kind: str = "unigram",
    lowercase: bool = False,
) -> tuple[TextEncoder, TextEncoder]:
    """Trains SentencePiece models on the training sentences.

    Args:
        text: whose training sentences they are.
        vocabulary_size: pieces, of both languages together or of each.
        joint: whether the languages share a vocabulary.
        kind, lowercase: see `train_subwords`.

    Returns:
        The encoders of source and target; the same object twice where they share a vocabulary.
    """
    source, target = text.train
    if joint:
        both = train_subwords((*source, *target), vocabulary_size, kind, lowercase)
        return both, both
    return (
        train_subwords(source, vocabulary_size, kind, lowercase),
        train_subwords(target, vocabulary_size, kind, lowercase),
    )


@gin.register(module="tf_l2t")
def word_vocabularies(
    text: ParallelText,
    min_count: int = 2,
    *,
    max_size: int | None = None,
    lowercase: bool = False,
) -> tuple[TextEncoder, TextEncoder]:
    """Takes the words of the training sentences, of each language apart.

    Args:
        text: whose training sentences they are.
        min_count: how often a word must come to be one of the vocabulary.
        max_size: indices of each vocabulary at most, the most frequent words; None keeps all.
        lowercase: whether to read text in lower case.

    Returns:
        The encoders of source and target.
    """
    source, target = (count_words(side, min_count, max_size, lowercase) for side in text.train)
    return source, target
