"""Batches of sentences of like length, which can be replayed as those of `BatchIndices` can."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tf_l2t.checks import whole_number
from tf_l2t.data.permutations import permutation

_EXAMPLES, _BATCHES = 2, 3
_CACHED_EPOCHS = 2


class TokenBatches:
    """The rows of every training batch, in batches that hold so many words or so many sentences.

    Every epoch puts the examples into an order of its own, drawn from (seed, epoch), sorts them
    by length, so that which of equal length meet is left to chance, cuts them into batches, and
    shuffles the batches. The length of an example is that of the longer of its two sentences. An
    example comes exactly once an epoch. The lengths decide where the cuts are, so every epoch has
    as many batches, and batch t is a function of (seed, t) that takes no look at those before.

    With `max_tokens`, each batch takes as many of the longest examples left as have room: its
    sentences times the length of its longest is at most `max_tokens`; the last two share what is
    left to them. Without it the sizes of all batches are as equal as can be, `max_sentences` at
    most.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        seed: int = 0,
    ) -> None:
        """Cuts the batches.

        Args:
            lengths: words of every example, int [examples], or of its sentences, int [examples,
                sentences], such as source and target; all from 1, the word that ends a sentence
                counted.
            max_tokens: words in a batch, padding counted; None does not bound them.
            max_sentences: examples in a batch; None does not bound them.
            seed: a number from 0.

        Raises:
            ValueError: one of them is out of range, neither bound is given, or an example is
                longer than `max_tokens`.

        Example:
            >>> TokenBatches([[3, 2], [5, 4], [2, 2]], max_tokens=8).rows(0, 2).shape
            (2, 2)
        """
        longest = _longest(lengths)
        if max_tokens is None and max_sentences is None:
            raise ValueError(
                "max_tokens and max_sentences are None: give one of them, such as max_tokens=4096 "
                "or max_sentences=64"
            )
        if max_tokens is not None:
            whole_number("TokenBatches", "max_tokens", max_tokens, 1)
            if longest.max() > max_tokens:
                raise ValueError(
                    f"max_tokens is {max_tokens}, but example {longest.argmax()} has a sentence of "
                    f"{longest.max()} words, and {np.sum(longest > max_tokens)} of {len(longest)} "
                    "examples are too long: give more, or leave long sentences out with the "
                    "max_length of Translation or encode_pairs"
                )
        if max_sentences is not None:
            whole_number("TokenBatches", "max_sentences", max_sentences, 1)
        self.num_examples = len(longest)
        self.seed = seed
        self._sort_key = -longest
        sizes = _sizes(np.sort(longest)[::-1], max_tokens, max_sentences)
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self.max_rows = int(sizes.max())
        """Examples of the largest batch."""
        self.min_rows = int(sizes.min())
        """Examples of the smallest batch."""
        self._cached_epoch = functools.lru_cache(maxsize=_CACHED_EPOCHS)(self._epoch)
        self._cached_epoch(0)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in which every example comes once."""
        return len(self._ends)

    def rows(self, start: int, length: int) -> np.ndarray:
        """Returns the rows of the batches start..start+length-1.

        Args:
            start: index t of the first batch, from 0.
            length: number of batches, at least 1.

        Returns:
            Row indices, int32 [length, max_rows], -1 behind those of a smaller batch.

        Raises:
            ValueError: `start` or `length` is out of range.
        """
        if start < 0:
            raise ValueError(f"start is {start}: batches count from 0")
        if length < 1:
            raise ValueError(f"length is {length}: ask for one batch at least")
        rows = np.empty((length, self.max_rows), np.int32)
        filled = 0
        while filled < length:
            epoch, offset = divmod(start + filled, self.batches_per_epoch)
            piece = self._cached_epoch(epoch)[offset : offset + length - filled]
            rows[filled : filled + len(piece)] = piece
            filled += len(piece)
        return rows

    def _epoch(self, epoch: int) -> np.ndarray:
        """Returns the rows of all batches of an epoch, int32 [batches_per_epoch, max_rows]."""
        examples = permutation(self.num_examples, self.seed, _EXAMPLES, epoch)
        examples = examples[np.argsort(self._sort_key[examples], kind="stable")]
        order = permutation(self.batches_per_epoch, self.seed, _BATCHES, epoch)
        positions = self._starts[order, None] + np.arange(self.max_rows)
        inside = positions < self._ends[order, None]
        return np.where(inside, examples[np.where(inside, positions, 0)], np.int32(-1))


def _longest(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns the length of each example, int64 [examples]."""
    array = np.asarray(lengths)
    if array.ndim not in (1, 2) or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"lengths is {array.dtype} of the shape {array.shape}: give integers [examples] or "
            "[examples, sentences] of one example at least"
        )
    if array.min() < 1:
        raise ValueError(
            f"lengths holds {array.min()}: every sentence has one word at least, that which ends it"
        )
    return array.astype(np.int64).reshape(len(array), -1).max(axis=1)


def _sizes(longest_first: np.ndarray, max_tokens: int | None, most: int | None) -> np.ndarray:
    """Returns how many examples each batch takes of those sorted by length, the longest first."""
    total = len(longest_first)
    if max_tokens is None:
        assert most is not None
        count = -(-total // most)
        return total // count + (np.arange(count) < total % count)
    sizes: list[int] = []
    taken = 0
    while taken < total:
        room = int(max_tokens // longest_first[taken])
        sizes.append(min(room, total - taken, total if most is None else most))
        taken += sizes[-1]
    # What is left to the last batch may be a sentence or two, whose gradient is mostly noise.
    both = sum(sizes[-2:])
    if len(sizes) > 1 and sizes[-1] < both // 2:
        sizes[-2:] = [both - both // 2, both // 2]
    return np.array(sizes)
