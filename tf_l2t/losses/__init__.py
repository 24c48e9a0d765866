"""What a student minimises: fixed losses, and the losses that a teacher shapes."""

from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import CrossEntropy, LabelSmoothing
from tf_l2t.losses.dynamic_bilinear import DynamicBilinear
from tf_l2t.losses.large_margin_softmax import LargeMarginSoftmax
from tf_l2t.losses.smooth_zero_one import SmoothZeroOne

__all__ = [
    "CrossEntropy",
    "DynamicBilinear",
    "LabelSmoothing",
    "LargeMarginSoftmax",
    "Loss",
    "SmoothZeroOne",
]
