"""The sentence pairs of a translation as indices, and what is known of each split."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from tf_l2t.checks import one_of
from tf_l2t.data import (
    EncodedPairs,
    Pairs,
    ParallelText,
    TextEncoder,
    encode_pairs,
    moses_detokenized,
)
from tf_l2t.data.permutations import permutation
from tf_l2t.measures import TOKENIZERS, corpus_bleu


class Corpus:
    """A parallel text, encoded: "train", "dev" and "test", which has all test sets in a row.

    Args:
        text: the sentence pairs.
        source_encoder, target_encoder: of the two languages.
        max_length: words of a training sentence, its end counted; pairs with longer ones are left
            out. Dev and test data are whole.
        max_length_ratio: how many times as long as the other a sentence of a training pair may be;
            None bounds none.
        tokenize, lowercase: how sacreBLEU reads the text.

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
        *,
        tokenize: str = "13a",
        lowercase: bool = False,
    ) -> None:
        self.text = text
        self._bleu = functools.partial(corpus_bleu, tokenize=tokenize, lowercase=lowercase)
        # Students of lower case, be it of their text or of their vocabulary, cannot do more.
        in_lower_case = text.lowercase or target_encoder.lowercase
        self._detokenized_bleu = functools.partial(corpus_bleu, lowercase=in_lower_case)
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

    def bleu(self, split: str, translations: Sequence[str]) -> dict[str, float]:
        """Returns BLEU of the translations of a split, each in [0, 1].

        Returns:
            "bleu" of the first set, "bleu_NAME" of the others; of text that was tokenised also
            "detokenized_bleu" and "detokenized_bleu_NAME", of the translations put together again
            against what people wrote.
        """
        found: dict[str, float] = {}
        start = 0
        for name, pairs in self.sets(split).items():
            part = translations[start : start + len(pairs.target)]
            which = "" if start == 0 else f"_{name}"
            found[f"bleu{which}"] = self._bleu(part, pairs.target).score / 100
            if name in self.text.raw_targets:
                whole = moses_detokenized(part, self.text.target_language)
                score = self._detokenized_bleu(whole, self.text.raw_targets[name]).score
                found[f"detokenized_bleu{which}"] = score / 100
            start += len(part)
        return found

    @property
    def signatures(self) -> dict[str, str]:
        """What sacreBLEU says of how each BLEU was computed."""
        ways = {"bleu": self._bleu}
        if self.text.raw_targets:
            ways["detokenized_bleu"] = self._detokenized_bleu
        return {name: bleu(["a"], ["a"]).signature for name, bleu in ways.items()}


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
