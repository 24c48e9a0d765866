"""The update rule that does what a Keras optimizer does."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import keras

from tf_l2t.differentiation.update_rules import SGD, Adam, AdamW, UpdateRule

_RULES: dict[type, Callable[..., UpdateRule]] = {
    keras.optimizers.SGD: SGD,
    keras.optimizers.Adam: Adam,
    keras.optimizers.AdamW: AdamW,
}

_OURS = {"learning_rate", "l2_penalty"}

_UNSUPPORTED = {
    "amsgrad": "leave it False",
    "clipnorm": "clip all gradients together, with global_clipnorm",
    "clipvalue": "clip all gradients together, with global_clipnorm",
    "use_ema": "leave it False",
    "loss_scale_factor": "leave it None and train in float32",
    "gradient_accumulation_steps": "leave it None and use larger batches",
    "_exclude_from_weight_decay": "let all weights decay, or none",
    "_exclude_from_weight_decay_pattern": "let all weights decay, or none",
    "iterations": "pass a new one, made by type(optimizer).from_config(optimizer.get_config())",
    "learning_rate": "Keras calls it without the step, so that it does not replay; use a schedule",
}


def update_rule_from_keras(optimizer: keras.optimizers.Optimizer) -> UpdateRule:
    """Makes the update rule that does what a new Keras optimizer does.

    It takes the settings as they are now and a learning-rate schedule as the same object.

    Args:
        optimizer: a `keras.optimizers.SGD`, `Adam` or `AdamW` that has not taken a step yet.

    Returns:
        The `SGD`, `Adam` or `AdamW` rule.

    Raises:
        TypeError: if the optimizer is of another class, be it a subclass of these.
        ValueError: if it has a setting that the rules lack, or has taken steps already: a rule
            starts from step 0 and zero slots, and would drop what the optimizer holds unnoticed.
    """
    kind = type(optimizer)
    if kind not in _RULES:
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        raise TypeError(
            "update_rule_from_keras: optimizer must be a keras.optimizers.SGD, Adam or AdamW, not "
            f"of a subclass, got {optimizer!r} of class {kind.__qualname__}; "
            + ("pass its inner_optimizer" if scaled else "use one of these or write an UpdateRule")
        )
    # The property `learning_rate` would turn a schedule into its value at the first step.
    rate = optimizer._learning_rate
    if isinstance(rate, keras.Variable):
        rate = float(rate.numpy())
    replays = isinstance(rate, float | keras.optimizers.schedules.LearningRateSchedule)
    found = {setting: getattr(optimizer, setting, None) for setting in _UNSUPPORTED}
    found["iterations"] = int(keras.ops.convert_to_numpy(optimizer.iterations))
    found["learning_rate"] = None if replays else rate
    for setting, value in found.items():
        if value:
            raise ValueError(
                f"update_rule_from_keras: {kind.__name__} must not have {setting.lstrip('_')} set, "
                f"got {value!r}; {_UNSUPPORTED[setting]}"
            )
    names = [name for name in inspect.signature(_RULES[kind]).parameters if name not in _OURS]
    settings = {name: getattr(optimizer, name) for name in names}
    # To Keras a norm of 0 means no clipping.
    settings["global_clipnorm"] = settings["global_clipnorm"] or None
    return _RULES[kind](rate, **settings)
