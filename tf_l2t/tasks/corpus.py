"""The sentence pairs of a translation as indices, and what is known of each split."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from tf_l2t.checks import one_of
from tf_l2t.data import EncodedPairs, Pairs, ParallelText, TextEncoder, encode_pairs
from tf_l2t.data.permutations import permutation
from tf_l2t.measures import TOKENIZERS


class Corpus:
    """A parallel text, encoded: "train", "dev" and "test", which has all test sets in a row.

    Args:
        text: the sentence pairs.
        source_encoder, target_encoder: of the two languages.
        max_length: words of a training sentence, its end counted; pairs with longer ones are left
            out. Dev and test data are whole.
        max_length_ratio: how many times as long as the other a sentence of a training pair may be;
            None bounds none.

    Attributes:
        splits: the pairs of each split.
        lengths: words of each source and target, int64 [pairs, 2], by split.
        mean_length: words of a target, by split.
        by_length: rows of each split in the order of their sources' lengths.
    """

    def __init__(
        self,
        text: ParallelText,
        source_encoder: TextEncoder,
        target_encoder: TextEncoder,
        max_length: int,
        max_length_ratio: float | None = None,
    ) -> None:
        self.text = text
        train, _ = encode_pairs(
            text.train, source_encoder, target_encoder, max_length, max_length_ratio
        )
        self.splits: dict[str, EncodedPairs] = {"train": train}
        for split in ("dev", "test"):
            together = Pairs(*map(_chained, zip(*self.sets(split).values(), strict=True)))
            self.splits[split], _ = encode_pairs(together, source_encoder, target_encoder)
        self.lengths = {split: pairs.lengths for split, pairs in self.splits.items()}
        self.mean_length = {k: float(array[:, 1].mean()) for k, array in self.lengths.items()}
        self.by_length = {
            split: np.argsort(array[:, 0], kind="stable").astype(np.int32)
            for split, array in self.lengths.items()
        }

    def drawn(self, split: str, count: int, stream: int) -> np.ndarray:
        """Returns the rows of some pairs; not the first ones, which may all be of one document."""
        return permutation(self.num_examples(split), 0, stream)[:count]

    def drawn_by_length(self, split: str, count: int | None, stream: int) -> np.ndarray:
        """Returns the same in the order of their sources' lengths; all rows if `count` is None."""
        rows = self.by_length[split]
        return rows if count is None else rows[np.isin(rows, self.drawn(split, count, stream))]

    def sets(self, split: str) -> dict[str, Pairs]:
        """Returns the sets of text that are scored as "dev" or as "test", by name."""
        return {"dev": self.text.dev} if split == "dev" else dict(self.text.test)

    def num_examples(self, split: str) -> int:
        """Returns the number of pairs of a split."""
        return len(self.lengths[split])


def _chained(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(itertools.chain(*parts))


def check_tokenizer(text: ParallelText, tokenize: str) -> None:
    """Raises ValueError if sacreBLEU has no such tokeniser, or text is tokenised already."""
    one_of("Translation", "tokenize", tokenize, TOKENIZERS)
    if text.tokenized and tokenize != "none":
        raise ValueError(
            "Translation: tokenize must be 'none' for text that moses tokenised, got "
            f"{tokenize!r}; BLEU would take its &apos; and the like apart once more. For BLEU of "
            "raw text train on raw text."
        )
