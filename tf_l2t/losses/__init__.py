"""What a student minimises: fixed losses, and the losses that a teacher shapes."""

from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import CrossEntropy, LabelSmoothing
from tf_l2t.losses.dynamic_bilinear import DynamicBilinear
from tf_l2t.losses.dynamic_forward_correction import DynamicForwardCorrection
from tf_l2t.losses.forward_correction import ForwardCorrection
from tf_l2t.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from tf_l2t.losses.large_margin_softmax import LargeMarginSoftmax
from tf_l2t.losses.smooth_zero_one import SmoothZeroOne

TAUGHT_LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss for loss in (DynamicBilinear, DynamicForwardCorrection)
}
"""The losses that a teacher sets the coefficients of, by the name that teacher.json gives them."""

__all__ = [
    "TAUGHT_LOSSES",
    "CrossEntropy",
    "DynamicBilinear",
    "DynamicForwardCorrection",
    "ForwardCorrection",
    "GeneralizedCrossEntropy",
    "LabelSmoothing",
    "LargeMarginSoftmax",
    "Loss",
    "SmoothZeroOne",
]
