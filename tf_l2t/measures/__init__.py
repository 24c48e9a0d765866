"""What a student is judged by: differentiable scores, and the score that is reported."""

from tf_l2t.measures.accuracy import accuracy
from tf_l2t.measures.base import Measure
from tf_l2t.measures.cross_entropy import NegativeCrossEntropy
from tf_l2t.measures.expected_accuracy import ExpectedAccuracy
from tf_l2t.measures.smooth_zero_one import SmoothZeroOneAccuracy

__all__ = [
    "ExpectedAccuracy",
    "Measure",
    "NegativeCrossEntropy",
    "SmoothZeroOneAccuracy",
    "accuracy",
]
