"""One suite over every measure of the package."""

import importlib
import inspect
import pkgutil

import gin
import numpy as np
import pytest
import tensorflow as tf
from score_recipe import CHECKS, Score

import tf_l2t.measures
from tf_l2t.measures import (
    ExpectedAccuracy,
    Measure,
    NegativeCrossEntropy,
    SmoothZeroOneAccuracy,
)
from tf_l2t.types import Outputs

MEASURES = [
    ExpectedAccuracy(),
    ExpectedAccuracy(temperature=0.1),
    NegativeCrossEntropy(),
    SmoothZeroOneAccuracy(),
    SmoothZeroOneAccuracy(sharpness=1.0),
]


def found() -> set[type[Measure]]:
    classes = set()
    for entry in pkgutil.iter_modules(tf_l2t.measures.__path__, "tf_l2t.measures."):
        module = importlib.import_module(entry.name)
        classes |= {c for _, c in inspect.getmembers(module, inspect.isclass)}
    return {c for c in classes if issubclass(c, Measure) and not inspect.isabstract(c)}


def name_of(value: object) -> str:
    if isinstance(value, Measure):
        return f"{type(value).__name__}({','.join(f'{k}={v}' for k, v in vars(value).items())})"
    return getattr(value, "__name__", str(value))


def test_every_measure_is_here():
    assert found() == {type(measure) for measure in MEASURES}


@pytest.mark.parametrize("measure", sorted(found(), key=name_of), ids=name_of)
def test_is_public_and_registered(measure):
    assert measure.__name__ in tf_l2t.measures.__all__
    assert isinstance(gin.get_configurable(f"tf_l2t.{measure.__name__}")(), measure)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("measure", MEASURES, ids=name_of)
def test_recipe(measure, check):
    check(Score(lambda inputs, targets: measure(Outputs(inputs["logits"]), targets), {}))


@pytest.mark.parametrize("measure", MEASURES, ids=name_of)
def test_more_is_better(measure):
    logits = tf.constant([[z, 0.0, 0.05] for z in np.linspace(-0.2, 0.3, 9)], tf.float64)
    scores = measure(Outputs(logits), tf.zeros(9, tf.int32))
    assert np.all(np.diff(scores) > 0)
