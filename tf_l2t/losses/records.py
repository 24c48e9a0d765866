"""The losses by name, and how one is written down and made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from tf_l2t.losses.reinforce import Reinforce
from tf_l2t.losses.smooth_zero_one import SmoothZeroOne
from tf_l2t.losses.softmax_margin import SoftmaxMargin

TAUGHT_LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss
    for loss in (DynamicBilinear, DynamicDiagonal, DynamicForwardCorrection, PerToken)
}
"""The losses that a teacher sets the coefficients of, by the name that teacher.json gives them."""

FIXED_LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss
    for loss in (
        ActorCritic,
        CrossEntropy,
        ForwardCorrection,
        GeneralizedCrossEntropy,
        LabelSmoothing,
        LargeMarginSoftmax,
        MinimumRisk,
        Reinforce,
        SmoothZeroOne,
        SoftmaxMargin,
    )
}
"""The others."""


def loss_record(loss: Loss) -> dict[str, Any]:
    """Returns what `loss_from_record` makes a loss of this package from, as JSON can hold it.

    A loss from outside may not keep its arguments: {} stands for them then, and for those of a
    loss of this package that holds such a one.
    """
    return {
        "class": type(loss).__name__,
        "arguments": loss.arguments() if _is_known(loss) else {},
    }


def loss_from_record(record: Mapping[str, Any]) -> Loss:
    """Returns the loss that `loss_record` wrote down.

    Args:
        record: {"class": ..., "arguments": ...}; an argument that is such a record is a loss.

    Raises:
        ValueError: if there is no such loss; also what its constructor raises.
        TypeError: if it does not take these arguments.

    Example:
        >>> loss_from_record({"class": "LabelSmoothing", "arguments": {"epsilon": 0.2}})
    """
    kind = _kind(record["class"])
    if kind is None:
        raise ValueError(
            f"there is no loss {record['class']!r}; give one of "
            f"{', '.join(sorted(TAUGHT_LOSSES | FIXED_LOSSES))}."
        )
    return kind(**{name: _argument(value) for name, value in record["arguments"].items()})


def _kind(name: str) -> type[Loss] | None:
    return TAUGHT_LOSSES.get(name) or FIXED_LOSSES.get(name)


def _is_known(loss: Loss) -> bool:
    parts = [part for part in vars(loss).values() if isinstance(part, Loss)]
    return _kind(type(loss).__name__) is type(loss) and all(map(_is_known, parts))


def _argument(value: Any) -> Any:
    is_loss = isinstance(value, Mapping) and set(value) == {"class", "arguments"}
    return loss_from_record(value) if is_loss else value
