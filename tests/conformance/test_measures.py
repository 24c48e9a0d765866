"""One suite over every measure of the package."""

import importlib
import inspect
import pkgutil

import gin
import numpy as np
import pytest
import tensorflow as tf
from score_recipe import CHECKS, Score
from translation_recipe import TRANSLATION_CHECKS, TranslationScore, outputs_of, value_and_gradient

import tf_l2t.measures
from tf_l2t.measures import (
    ExpectedAccuracy,
    ExpectedBleu,
    Measure,
    NegativeCrossEntropy,
    SmoothZeroOneAccuracy,
    TranslationLogLikelihood,
)
from tf_l2t.types import Outputs

MEASURES = [
    ExpectedAccuracy(),
    ExpectedAccuracy(temperature=0.1),
    NegativeCrossEntropy(),
    SmoothZeroOneAccuracy(),
    SmoothZeroOneAccuracy(sharpness=1.0),
]
TRANSLATION_MEASURES = [
    ExpectedBleu(),
    ExpectedBleu(alpha=0.3, normalize_length=True),
    TranslationLogLikelihood(),
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
    assert found() == {type(measure) for measure in [*MEASURES, *TRANSLATION_MEASURES]}


@pytest.mark.parametrize("measure", sorted(found(), key=name_of), ids=name_of)
def test_is_public_and_registered(measure):
    assert measure.__name__ in tf_l2t.measures.__all__
    assert isinstance(gin.get_configurable(f"tf_l2t.{measure.__name__}")(), measure)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("measure", MEASURES, ids=name_of)
def test_recipe(measure, check):
    check(Score(lambda inputs, targets: measure(Outputs(inputs["logits"]), targets), {}))


@pytest.mark.parametrize("check", TRANSLATION_CHECKS, ids=name_of)
@pytest.mark.parametrize("measure", TRANSLATION_MEASURES, ids=name_of)
def test_translation_recipe(measure, check):
    def function(inputs, targets):
        return measure(outputs_of(inputs), targets)

    check(TranslationScore(function, {}))


@pytest.mark.parametrize("measure", TRANSLATION_MEASURES, ids=name_of)
def test_a_step_along_its_gradient_raises_it(measure):
    score = TranslationScore(lambda inputs, targets: measure(outputs_of(inputs), targets), {})
    inputs, targets = score.inputs(tf.float64), score.targets(score.batch)
    before, gradient = value_and_gradient(score.function, inputs, targets)
    after = score.function({k: v + 0.1 * gradient[k] for k, v in inputs.items()}, targets)
    assert np.all(after > before)


@pytest.mark.parametrize("measure", MEASURES, ids=name_of)
def test_more_is_better(measure):
    logits = tf.constant([[z, 0.0, 0.05] for z in np.linspace(-0.2, 0.3, 9)], tf.float64)
    scores = measure(Outputs(logits), tf.zeros(9, tf.int32))
    assert np.all(np.diff(scores) > 0)
