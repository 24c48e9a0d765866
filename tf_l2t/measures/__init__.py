"""What a student is judged by: differentiable scores, and the score that is reported."""

from tf_l2t.measures.accuracy import accuracy
from tf_l2t.measures.base import Measure
from tf_l2t.measures.bleu import prefix_bleu, sentence_bleu
from tf_l2t.measures.corpus_bleu import TOKENIZERS, CorpusBleu, corpus_bleu
from tf_l2t.measures.cross_entropy import NegativeCrossEntropy
from tf_l2t.measures.expected_accuracy import ExpectedAccuracy
from tf_l2t.measures.expected_bleu import ExpectedBleu
from tf_l2t.measures.smooth_zero_one import SmoothZeroOneAccuracy
from tf_l2t.measures.translation_log_likelihood import TranslationLogLikelihood

__all__ = [
    "TOKENIZERS",
    "CorpusBleu",
    "ExpectedAccuracy",
    "ExpectedBleu",
    "Measure",
    "NegativeCrossEntropy",
    "SmoothZeroOneAccuracy",
    "TranslationLogLikelihood",
    "accuracy",
    "corpus_bleu",
    "prefix_bleu",
    "sentence_bleu",
]
