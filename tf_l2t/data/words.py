"""Whole words as indices."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.checks import whole_number
from tf_l2t.data.text_encoders import TextEncoder, lower, lowered, with_end, without_special
from tf_l2t.data.vocabulary import SPECIAL, UNK


class Words(TextEncoder):
    """The words between spaces; make one of text with `count_words`.

    Decoding joins the words with one space: what `moses` took apart, `moses_detokenized` puts
    together again. Every word that is not in the vocabulary is decoded as `<unk>`.
    """

    def __init__(self, words: Sequence[str], lowercase: bool = False) -> None:
        """Makes the vocabulary.

        Args:
            words: the words, in the order of their indices, which start behind those of
                `data.vocabulary`.
            lowercase: whether to read text in lower case.

        Raises:
            ValueError: there is no word, one comes twice, is a special one or holds a space.

        Example:
            >>> Words(["ein", "Haus"]).encode(tf.constant(["ein Haus"])).to_list()
            [[4, 5, 3]]
        """
        super().__init__()
        if not words:
            raise ValueError("words is empty: give one word at least")
        (most, count), *_ = collections.Counter(words).most_common(1)
        if count > 1:
            raise ValueError(f"words holds {most!r} {count} times: give each word once")
        for word in words:
            if word in SPECIAL or word.encode().split() != [word.encode()]:
                raise ValueError(
                    f"words holds {word!r}: give words without spaces, other than "
                    f"{' '.join(SPECIAL)}"
                )
        self.lowercase = lowercase
        self._words = tf.constant([*SPECIAL, *words])
        indices = tf.range(len(SPECIAL), len(SPECIAL) + len(words))
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(self._words[len(SPECIAL) :], indices), UNK
        )

    @property
    def size(self) -> int:
        """Number of words, the special ones among them."""
        return self._words.shape[0]

    @property
    def words(self) -> list[str]:
        """Every word, in the order of the indices."""
        return [word.decode() for word in self._words.numpy()]

    def encode(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """Returns the indices of each sentence, int32 [sentences, None], `EOS` at its end."""
        if self.lowercase:
            strings = lower(strings)
        words = tf.strings.split(strings)
        return with_end(words.with_values(self._table.lookup(words.values)))

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the text of each sentence up to its first `EOS`, tf.string [sentences]."""
        kept = without_special(ids)
        words = kept.with_values(tf.gather(self._words, kept.values))
        return tf.strings.reduce_join(words, axis=1, separator=" ")

    def describe(self) -> dict[str, Any]:
        """Returns the kind, size and SHA-256 of the vocabulary, for a report in JSON."""
        return {
            "kind": "words",
            "size": self.size,
            "lowercase": self.lowercase,
            "sha256": hashlib.sha256("\n".join(self.words).encode()).hexdigest(),
        }


def count_words(
    sentences: Iterable[str],
    min_count: int = 1,
    max_size: int | None = None,
    lowercase: bool = False,
) -> Words:
    """Makes a vocabulary of the words that are frequent in some text.

    Args:
        sentences: the text, words with spaces between them.
        min_count: how often a word must come.
        max_size: indices of the vocabulary at most, those of `data.vocabulary` among them; the
            most frequent words are kept. None keeps all.
        lowercase: whether to read text in lower case.

    Returns:
        The vocabulary, the most frequent word first, those as frequent in alphabetical order.

    Raises:
        ValueError: a number is too small, or no word is frequent enough.

    Example:
        >>> encoder = count_words(source.train.target, min_count=2)
    """
    whole_number("count_words", "min_count", min_count, 1)
    if max_size is not None:
        whole_number("count_words", "max_size", max_size, len(SPECIAL) + 1)
    counts: collections.Counter[bytes] = collections.Counter()
    # As bytes, because `tf.strings.split` takes the spaces of ASCII alone for spaces.
    for sentence in lowered(sentences) if lowercase else sentences:
        counts.update(sentence.encode().split())
    for special in SPECIAL:
        counts.pop(special.encode(), None)
    frequent = sorted((-count, word) for word, count in counts.items() if count >= min_count)
    if not frequent:
        raise ValueError(
            f"min_count is {min_count}, but no word of the sentences comes more than "
            f"{max(counts.values(), default=0)} times: give a smaller number"
        )
    kept = frequent if max_size is None else frequent[: max_size - len(SPECIAL)]
    return Words([word.decode() for _, word in kept], lowercase)
