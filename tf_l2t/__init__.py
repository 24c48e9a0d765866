"""Learning to teach with dynamic loss functions."""

from tf_l2t.differentiation import (
    SGD,
    Adam,
    AdamW,
    UpdateRule,
    hypergradient,
    update_rule_from_keras,
)
from tf_l2t.version import __version__

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "UpdateRule",
    "__version__",
    "hypergradient",
    "update_rule_from_keras",
]
