"""Decoding: how a student that translates writes its translations."""

from tf_l2t.decoding.beam_search import Hypotheses, beam_search
from tf_l2t.decoding.greedy import greedy
from tf_l2t.decoding.sampling import sample

__all__ = ["Hypotheses", "beam_search", "greedy", "sample"]
