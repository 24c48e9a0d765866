import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import (
    CrossEntropy,
    DynamicDiagonal,
    GeneralizedCrossEntropy,
    LabelSmoothing,
    LargeMarginSoftmax,
    PerToken,
)
from tf_l2t.types import Sentences, TranslationOutputs, TranslationTargets

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 4, 6))
IDS = np.array([[4, 5, 1, 3], [5, 3, 0, 0]])
LENGTHS = np.array([4, 2])
LOG_P = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
PHI = RNG.normal(size=6)


def targets(mean_length: float = 3.0) -> TranslationTargets:
    return TranslationTargets(
        Sentences(tf.constant(IDS), tf.constant(LENGTHS)), tf.constant(mean_length, tf.float64)
    )


def of_word(loss, coefficients, i: int, r: int) -> float:
    log_p = LOG_P[i, r]
    y = IDS[i, r]
    if isinstance(loss, LabelSmoothing):
        q = np.full(6, loss.epsilon / 6)
        q[y] += 1 - loss.epsilon
        return -q @ log_p
    if isinstance(loss, DynamicDiagonal):
        return -1 / (1 + np.exp(-coefficients["phi"][y] * log_p[y]))
    return -log_p[y]


@pytest.mark.parametrize(
    ("loss", "coefficients"),
    [
        (CrossEntropy(), {}),
        (LabelSmoothing(epsilon=0.3), {}),
        (DynamicDiagonal(), {"phi": PHI}),
    ],
)
def test_value(loss, coefficients):
    got = PerToken(loss)(TranslationOutputs(tf.constant(LOGITS)), targets(), coefficients)
    want = [sum(of_word(loss, coefficients, i, r) for r in range(LENGTHS[i])) / 3 for i in range(2)]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_golden():
    sentences = Sentences(tf.constant([[1, 0]]), tf.constant([1]))
    outputs = TranslationOutputs(tf.constant([[[0.0, 1.0], [7.0, 0.0]]]))
    got = PerToken(CrossEntropy())(outputs, TranslationTargets(sentences, tf.constant(1.0)), {})
    np.testing.assert_allclose(got, [0.31326166], rtol=1e-6)


def test_the_mean_of_the_batch_is_a_mean_over_words():
    loss = PerToken(CrossEntropy())
    losses = loss(TranslationOutputs(tf.constant(LOGITS)), targets(LENGTHS.mean()), {})
    words = [of_word(CrossEntropy(), {}, i, r) for i in range(2) for r in range(LENGTHS[i])]
    np.testing.assert_allclose(tf.reduce_mean(losses), np.mean(words), rtol=1e-12)


def test_it_asks_for_what_the_loss_of_a_word_asks_for():
    assert PerToken(DynamicDiagonal()).coefficient_shapes(7) == {"phi": (7,)}
    assert PerToken(CrossEntropy()).coefficient_shapes(7) == {}
    margin = LargeMarginSoftmax()
    scheduled = PerToken(margin).schedule(tf.constant(5))
    np.testing.assert_array_equal(
        scheduled["annealing"], margin.schedule(tf.constant(5))["annealing"]
    )
    assert GeneralizedCrossEntropy.formula in PerToken(GeneralizedCrossEntropy()).formula


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (None, "PerToken: loss must be a Loss, got None"),
        (CrossEntropy, "PerToken: loss must be a Loss, got <class"),
        (PerToken(CrossEntropy()), "PerToken: loss must be one of a classifier, got PerToken"),
    ],
)
def test_what_is_no_loss_of_a_classifier_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        PerToken(loss)


def test_a_loss_with_a_state_is_refused() -> None:
    class Learning(CrossEntropy):
        def advance(self, state, outputs, targets, coefficients):
            return coefficients, state

    with pytest.raises(ValueError, match="no state of its own, got Learning"):
        PerToken(Learning())
