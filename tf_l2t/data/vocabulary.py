"""The indices that every vocabulary of words or pieces of words begins with."""

from __future__ import annotations

PAD = 0
"""Fills a batch behind the end of a sentence."""
UNK = 1
"""A word that the vocabulary does not have."""
BOS = 2
"""Before the first word; never part of a sentence, what a decoder is first given."""
EOS = 3
"""After the last word; part of every sentence."""
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
"""Their names, in order."""
