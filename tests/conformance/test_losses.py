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
from translation_recipe import TRANSLATION_CHECKS, TranslationScore, outputs_of

import tf_l2t.losses
from tf_l2t.losses import (
    FIXED_LOSSES,
    TAUGHT_LOSSES,
    ActorCritic,
    CrossEntropy,
    DynamicBilinear,
    DynamicDiagonal,
    DynamicForwardCorrection,
    ForwardCorrection,
    GeneralizedCrossEntropy,
    LabelSmoothing,
    LargeMarginSoftmax,
    Loss,
    MinimumRisk,
    PerToken,
    Reinforce,
    SmoothZeroOne,
    SoftmaxMargin,
    loss_from_record,
    loss_record,
)
from tf_l2t.types import Outputs, TranslationTargets

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
    DynamicDiagonal(),
    DynamicForwardCorrection(),
    DynamicForwardCorrection(least_right=0.5),
    LargeMarginSoftmax(),
    *(LargeMarginSoftmax(margin=margin, annealing_base=0.5) for margin in (1, 2, 3, 4)),
]
TRANSLATION_LOSSES = [
    PerToken(CrossEntropy()),
    PerToken(LabelSmoothing(epsilon=0.2)),
    PerToken(DynamicBilinear(bias=True)),
    PerToken(DynamicDiagonal()),
    ActorCritic(),
    ActorCritic(num_candidates=1, critic_steps=0, token_weight=0.0, label_smoothing=0.1),
    MinimumRisk(),
    MinimumRisk(alpha=1.0, include_reference=False, normalize_length=True, token_weight=0.3),
    Reinforce(),
    Reinforce(baseline="mean", token_weight=0.0),
    Reinforce(baseline="none", label_smoothing=0.1),
    SoftmaxMargin(),
    SoftmaxMargin(include_reference=True, token_weight=0.0),
]
ALL = [*LOSSES, *TRANSLATION_LOSSES]
NEEDED = {
    ForwardCorrection: {"transition_matrix": [[1.0]]},
    PerToken: {"loss": CrossEntropy()},
}


def found() -> set[type[Loss]]:
    classes = set()
    for entry in pkgutil.iter_modules(tf_l2t.losses.__path__, "tf_l2t.losses."):
        module = importlib.import_module(entry.name)
        classes |= {c for _, c in inspect.getmembers(module, inspect.isclass)}
    return {c for c in classes if issubclass(c, Loss) and not inspect.isabstract(c)}


def coefficients_of(loss: Loss) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = loss.coefficient_shapes(CLASSES)
    coefficients = {k: 0.2 * rng.normal(size=shape) for k, shape in shapes.items()}
    return coefficients | {k: v.numpy() for k, v in loss.schedule(tf.constant(3)).items()}


def score_of(loss: Loss) -> Score:
    coefficients = coefficients_of(loss)

    def function(inputs, targets):
        outputs = Outputs(inputs["logits"], inputs["features"], inputs["kernel"])
        return loss(outputs, targets, {name: inputs[name] for name in coefficients})

    return Score(function, coefficients)


def values_of_some_critic(targets: TranslationTargets) -> tf.Tensor:
    """Returns some value of every word after every prefix of the candidates."""
    before = tf.cumsum(targets.candidates.sentences.ids, axis=-1, exclusive=True)
    words = tf.range(CLASSES, dtype=tf.float64)
    return tf.sin(words + tf.cast(before[..., tf.newaxis], tf.float64))


def translation_score_of(loss: Loss) -> TranslationScore:
    coefficients = coefficients_of(loss)

    def function(inputs, targets):
        given = {name: inputs[name] for name in coefficients}
        if isinstance(loss, ActorCritic):
            given["values"] = values_of_some_critic(targets)
        return loss(outputs_of(inputs), targets, given)

    return TranslationScore(function, coefficients)


def name_of(value: object) -> str:
    if isinstance(value, Loss):
        given = {name: getattr(value, name) for name in value.arguments()}
        return f"{type(value).__name__}({','.join(f'{k}={name_of(v)}' for k, v in given.items())})"
    return getattr(value, "__name__", str(value))


def plain(loss: Loss) -> dict:
    given = {k: v for k, v in vars(loss).items() if k != "_critics"}  # networks that it has built
    return {k: name_of(v) if isinstance(v, Loss) else v for k, v in given.items()}


def test_every_loss_is_here():
    assert found() == {type(loss) for loss in ALL}
    assert {loss.__name__: loss for loss in found()} == FIXED_LOSSES | TAUGHT_LOSSES


@pytest.mark.parametrize("loss", sorted(found(), key=name_of), ids=name_of)
def test_is_public_and_registered(loss):
    assert loss.__name__ in tf_l2t.losses.__all__
    needed = NEEDED.get(loss, {})
    assert isinstance(gin.get_configurable(f"tf_l2t.{loss.__name__}")(**needed), loss)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_recipe(loss, check):
    check(score_of(loss))


@pytest.mark.parametrize("check", TRANSLATION_CHECKS, ids=name_of)
@pytest.mark.parametrize("loss", TRANSLATION_LOSSES, ids=name_of)
def test_translation_recipe(loss, check):
    check(translation_score_of(loss))


@pytest.mark.parametrize("loss", ALL, ids=name_of)
def test_coefficients_come_from_a_schedule_or_from_a_teacher(loss):
    scheduled = tf.function(loss.schedule)(tf.constant(0))
    assert not (scheduled and loss.coefficient_shapes(CLASSES))
    for coefficient in tf.nest.flatten(scheduled):
        assert coefficient.dtype.is_floating
        assert np.isfinite(coefficient)


@pytest.mark.parametrize("loss", ALL, ids=name_of)
def test_a_state_keeps_its_structure_and_no_state_costs_nothing(loss):
    state = loss.initial_state(CLASSES, seed=1)
    again = loss.initial_state(CLASSES, seed=1)
    tf.nest.map_structure(np.testing.assert_array_equal, state, again)
    if not state:
        given = coefficients_of(loss)
        assert loss.advance(state, None, None, given) == (given, state)
        return
    score = translation_score_of(loss)
    inputs, targets = score.inputs(tf.float32), score.targets(score.batch)
    advance = lambda: loss.advance(state, outputs_of(inputs), targets, {})
    given, after = advance()
    tf.nest.assert_same_structure(after, state)
    for one, other in zip(tf.nest.flatten(after), tf.nest.flatten(state), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
    tf.nest.map_structure(np.testing.assert_array_equal, advance(), (given, after))
    assert loss(outputs_of(inputs), targets, given).shape == [score.batch]


@pytest.mark.parametrize("loss", ALL, ids=name_of)
def test_its_arguments_make_it_again(loss):
    record = loss_record(loss)
    assert record == {"class": type(loss).__name__, "arguments": loss.arguments()}
    assert json.loads(json.dumps(record)) == record
    again = loss_from_record(record)
    assert type(again) is type(loss)
    assert plain(again) == plain(loss)
    assert loss.formula


def test_a_teacher_can_be_loaded_for_every_taught_loss():
    taught = {type(loss) for loss in ALL if loss.coefficient_shapes(CLASSES)}
    assert {name: loss.__name__ for name, loss in TAUGHT_LOSSES.items()} == {
        loss.__name__: loss.__name__ for loss in taught
    }
