"""Decoding: how a student that translates writes its translations."""

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
