"""The engine: exact hypergradients of training, for any loss, model and update rule."""

from tf_l2t.differentiation.hypergradient import Engine, hypergradient
from tf_l2t.differentiation.keras_rules import update_rule_from_keras
from tf_l2t.differentiation.update_rules import SGD, Adam, AdamW, UpdateRule

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Engine",
    "UpdateRule",
    "hypergradient",
    "update_rule_from_keras",
]
