"""What a student minimises: fixed losses, and the losses that a teacher shapes."""

from tf_l2t.losses.actor_critic import ActorCritic
from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import CrossEntropy, LabelSmoothing
from tf_l2t.losses.dynamic_bilinear import DynamicBilinear
from tf_l2t.losses.dynamic_diagonal import DynamicDiagonal
from tf_l2t.losses.dynamic_forward_correction import DynamicForwardCorrection
from tf_l2t.losses.forward_correction import ForwardCorrection
from tf_l2t.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from tf_l2t.losses.large_margin_softmax import LargeMarginSoftmax
from tf_l2t.losses.minimum_risk import MinimumRisk
from tf_l2t.losses.per_token import PerToken
from tf_l2t.losses.records import FIXED_LOSSES, TAUGHT_LOSSES, loss_from_record, loss_record
from tf_l2t.losses.reinforce import Reinforce
from tf_l2t.losses.smooth_zero_one import SmoothZeroOne
from tf_l2t.losses.softmax_margin import SoftmaxMargin

__all__ = [
    "FIXED_LOSSES",
    "TAUGHT_LOSSES",
    "ActorCritic",
    "CrossEntropy",
    "DynamicBilinear",
    "DynamicDiagonal",
    "DynamicForwardCorrection",
    "ForwardCorrection",
    "GeneralizedCrossEntropy",
    "LabelSmoothing",
    "LargeMarginSoftmax",
    "Loss",
    "MinimumRisk",
    "PerToken",
    "Reinforce",
    "SmoothZeroOne",
    "SoftmaxMargin",
    "loss_from_record",
    "loss_record",
]
