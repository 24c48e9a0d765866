"""Decoding: how a student that translates writes its translations.

The samplers of keras-hub do not serve here. The random ones draw from a variable, so that what a
step drew cannot be drawn again; the beam search adds up the words after the end of a sentence too,
has no length penalty, and one limit of length for a whole batch.
"""

from tf_l2t.decoding.beam_search import Hypotheses, beam_search
from tf_l2t.decoding.greedy import greedy
from tf_l2t.decoding.sampling import sample
from tf_l2t.decoding.text_translator import TextTranslator
from tf_l2t.decoding.writer import Writer, longest

__all__ = [
    "Hypotheses",
    "TextTranslator",
    "Writer",
    "beam_search",
    "greedy",
    "longest",
    "sample",
]
