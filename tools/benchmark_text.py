"""The sentence pairs of benchmarks: those of Multi30k, or made-up ones with lengths like theirs."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence

import numpy as np

from tf_l2t.data import Pairs, ParallelText, Words, multi30k, train_subwords
from tf_l2t.data.text_encoders import TextEncoder
from tf_l2t.data.vocabularies import MakeVocabularies, subword_vocabularies
from tf_l2t.data.vocabulary import SPECIAL

_TRAINING_PAIRS = 20_000
# Those of Multi30k in 8,000 joint pieces, where the longest of 29,000 sentences has 56: the
# logarithm of a length, and by how much that of its translation differs.
_MEDIAN, _SPREAD, _SPREAD_OF_RATIO = 15, 0.33, 0.18
_SHORTEST, _LONGEST = 2, 56


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Adds --text and --vocabulary, the arguments of `text_and_vocabularies`."""
    parser.add_argument(
        "--text",
        metavar="DIR",
        help="of the files of Multi30k; without it sentences are made up: times depend on how "
        "long they are and on the size of the vocabulary, and not on which words they have",
    )
    parser.add_argument(
        "--vocabulary",
        type=vocabulary_sizes,
        metavar="SIZE[,SIZE]",
        help="words of one that both languages share, or of source and target (default 8000)",
    )


def vocabulary_sizes(text: str) -> list[int]:
    """Parses "8000", of one vocabulary for both languages, or "32009,22822", of two."""
    parts = text.split(",")
    sizes = [int(part) for part in parts if part.strip().isdecimal()]
    if len(sizes) != len(parts) or len(sizes) > 2 or min(sizes) <= len(SPECIAL):
        raise argparse.ArgumentTypeError(
            f"give one or two whole numbers from {len(SPECIAL) + 1}, not {text!r}"
        )
    return sizes


def text_and_vocabularies(
    directory: str | None,
    sizes: Sequence[int] | None,
    dev_pairs: int,
    seed: int,
    test_pairs: int = 1,
) -> tuple[ParallelText, MakeVocabularies]:
    """Returns sentence pairs, and what makes their vocabularies.

    Args:
        directory: of the files of Multi30k; None makes pairs up.
        sizes: of the vocabularies, as `vocabulary_sizes` parses them; 8,000 if None.
        dev_pairs: how many dev pairs are made up.
        seed: of what is made up.
        test_pairs: how many test pairs are made up.

    Raises:
        ValueError: for files that cannot be read, or that have not so many dev pairs.
    """
    sizes = list(sizes or [8000])
    if directory is None:
        made_up = _made_up(sizes, (_TRAINING_PAIRS, dev_pairs, test_pairs), seed)
        return made_up, functools.partial(_numbered_words, sizes)
    text = multi30k(directory)
    if dev_pairs > len(text.dev.source):
        raise ValueError(
            f"--dev_examples is {dev_pairs}, and {text.name} has {len(text.dev.source)} dev pairs; "
            "give fewer."
        )
    return text, functools.partial(_pieces, sizes)


def _made_up(sizes: list[int], counts: Sequence[int], seed: int) -> ParallelText:
    draw = np.random.default_rng(seed)
    train, dev, test = (_pairs(draw, count, sizes[0], sizes[-1]) for count in counts)
    return ParallelText(train, dev, {"test": test}, "de", "en", "made-up sentences")


def _pairs(draw: np.random.Generator, count: int, *sizes: int) -> Pairs:
    common = draw.normal(0.0, _SPREAD, count)
    sides = []
    for size, spread in zip(sizes, (0.0, _SPREAD_OF_RATIO), strict=True):
        lengths = _MEDIAN * np.exp(common + draw.normal(0.0, spread, count))
        # Less the word that ends a sentence, which its encoder adds.
        lengths = np.clip(lengths.round().astype(int), _SHORTEST, _LONGEST) - 1
        words = draw.integers(0, size - len(SPECIAL), lengths.sum()).astype(str)
        cut = np.split(words, np.cumsum(lengths)[:-1])
        sides.append(tuple(" ".join(sentence) for sentence in cut))
    return Pairs(*sides)


def _numbered_words(sizes: list[int], text: ParallelText) -> tuple[TextEncoder, TextEncoder]:
    """Returns the vocabularies of made-up text, whose words are numbers."""
    del text
    made = [Words([str(k) for k in range(size - len(SPECIAL))]) for size in sizes]
    return made[0], made[-1]


def _pieces(sizes: list[int], text: ParallelText) -> tuple[TextEncoder, TextEncoder]:
    if len(sizes) == 1:
        return subword_vocabularies(text, sizes[0])
    source, target = map(train_subwords, text.train, sizes)
    return source, target
