"""One suite over every loss of the package."""

import importlib
import inspect
import json
import pkgutil

import gin
import numpy as np
import pytest
import tensorflow as tf
from score_recipe import CHECKS, CLASSES, Score

import tf_l2t.losses
from tf_l2t.losses import (
    TAUGHT_LOSSES,
    CrossEntropy,
    DynamicBilinear,
    DynamicForwardCorrection,
    ForwardCorrection,
    GeneralizedCrossEntropy,
    LabelSmoothing,
    LargeMarginSoftmax,
    Loss,
    SmoothZeroOne,
)
from tf_l2t.types import Outputs

LOSSES = [
    CrossEntropy(),
    LabelSmoothing(),
    LabelSmoothing(epsilon=0.0),
    GeneralizedCrossEntropy(),
    GeneralizedCrossEntropy(q=1.0),
    ForwardCorrection(0.7 * np.eye(CLASSES) + 0.3 / CLASSES),
    ForwardCorrection(np.eye(CLASSES)),
    SmoothZeroOne(),
    SmoothZeroOne(sharpness=1.0),
    DynamicBilinear(),
    DynamicBilinear(bias=True),
    DynamicForwardCorrection(),
    LargeMarginSoftmax(),
    *(LargeMarginSoftmax(margin=margin, annealing_base=0.5) for margin in (1, 2, 3, 4)),
]


def found() -> set[type[Loss]]:
    classes = set()
    for entry in pkgutil.iter_modules(tf_l2t.losses.__path__, "tf_l2t.losses."):
        module = importlib.import_module(entry.name)
        classes |= {c for _, c in inspect.getmembers(module, inspect.isclass)}
    return {c for c in classes if issubclass(c, Loss) and not inspect.isabstract(c)}


def score_of(loss: Loss) -> Score:
    rng = np.random.default_rng(3)
    shapes = loss.coefficient_shapes(CLASSES)
    coefficients = {k: 0.2 * rng.normal(size=shape) for k, shape in shapes.items()}
    coefficients |= {k: v.numpy() for k, v in loss.schedule(tf.constant(3)).items()}

    def function(inputs, targets):
        outputs = Outputs(inputs["logits"], inputs["features"], inputs["kernel"])
        return loss(outputs, targets, {name: inputs[name] for name in coefficients})

    return Score(function, coefficients)


def name_of(value: object) -> str:
    if isinstance(value, Loss):
        return f"{type(value).__name__}({','.join(f'{k}={v}' for k, v in vars(value).items())})"
    return getattr(value, "__name__", str(value))


def test_every_loss_is_here():
    assert found() == {type(loss) for loss in LOSSES}


@pytest.mark.parametrize("loss", sorted(found(), key=name_of), ids=name_of)
def test_is_public_and_registered(loss):
    assert loss.__name__ in tf_l2t.losses.__all__
    needed = {"transition_matrix": [[1.0]]} if loss is ForwardCorrection else {}
    assert isinstance(gin.get_configurable(f"tf_l2t.{loss.__name__}")(**needed), loss)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_recipe(loss, check):
    check(score_of(loss))


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_coefficients_come_from_a_schedule_or_from_a_teacher(loss):
    scheduled = tf.function(loss.schedule)(tf.constant(0))
    assert not (scheduled and loss.coefficient_shapes(CLASSES))
    for coefficient in tf.nest.flatten(scheduled):
        assert coefficient.dtype.is_floating
        assert np.isfinite(coefficient)


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_its_arguments_make_it_again(loss):
    assert vars(type(loss)(**loss.arguments())) == vars(loss)
    assert json.loads(json.dumps(loss.arguments())) == loss.arguments()
    assert loss.formula


def test_a_teacher_can_be_loaded_for_every_taught_loss():
    taught = {type(loss) for loss in LOSSES if loss.coefficient_shapes(CLASSES)}
    assert {name: loss.__name__ for name, loss in TAUGHT_LOSSES.items()} == {
        loss.__name__: loss.__name__ for loss in taught
    }
