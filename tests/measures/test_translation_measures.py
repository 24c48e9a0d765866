import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import CrossEntropy, PerToken
from tf_l2t.measures import ExpectedBleu, TranslationLogLikelihood
from tf_l2t.types import Candidates, Sentences, TranslationOutputs, TranslationTargets

RNG = np.random.default_rng(0)
WORDS = 6
REFERENCES = np.array([[4, 5, 3], [5, 3, 0]])
CANDIDATES = np.array([[[4, 5, 4, 3], [5, 3, 0, 0]], [[5, 4, 3, 0], [3, 0, 0, 0]]])
SCORES = np.array([[0.6, 0.1], [0.3, 0.0]])
LOGITS = RNG.normal(size=(2, 3, WORDS))
CANDIDATE_LOGITS = RNG.normal(size=(2, 2, 4, WORDS))


def sentences(ids: np.ndarray) -> Sentences:
    return Sentences(tf.constant(ids, tf.int32), tf.constant((ids != 0).sum(-1), tf.int32))


def outputs() -> TranslationOutputs:
    return TranslationOutputs(tf.constant(LOGITS), tf.constant(CANDIDATE_LOGITS))


def targets(candidates: np.ndarray = CANDIDATES, scores: np.ndarray = SCORES):
    return TranslationTargets(
        sentences(REFERENCES),
        tf.constant(2.5, tf.float64),
        Candidates(sentences(candidates), tf.constant(scores, tf.float32)),
    )


def log_p(logits: np.ndarray, ids: np.ndarray) -> float:
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(log_softmax[r, word] for r, word in enumerate(ids) if word)


@pytest.mark.parametrize("normalize_length", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.2])
def test_expected_bleu(alpha, normalize_length):
    measure = ExpectedBleu(num_candidates=2, alpha=alpha, normalize_length=normalize_length)
    want = []
    for i in range(2):
        s = [log_p(CANDIDATE_LOGITS[i, k], CANDIDATES[i, k]) for k in range(2)]
        if normalize_length:
            s = [s[k] / np.count_nonzero(CANDIDATES[i, k]) for k in range(2)]
        p = np.exp(alpha * np.array(s))
        want.append(p @ SCORES[i] / p.sum())
    np.testing.assert_allclose(measure(outputs(), targets()), want, rtol=1e-6)


def test_expected_bleu_golden():
    student = TranslationOutputs(
        tf.zeros([1, 1, 4]), tf.constant([[[[0.0, 2.0, 0.0, 1.0]], [[0.0, 2.0, 0.0, 1.0]]]])
    )
    proposed = Candidates(sentences(np.array([[[1], [3]]])), tf.constant([[1.0, 0.0]]))
    reference = TranslationTargets(sentences(np.array([[1]])), tf.constant(1.0), proposed)
    got = ExpectedBleu(num_candidates=2)(student, reference)
    np.testing.assert_allclose(got, [0.7310586], rtol=1e-6)


def test_a_candidate_that_is_there_twice_counts_once():
    twice = np.concatenate([CANDIDATES, CANDIDATES[:, :1]], axis=1)
    logits = np.concatenate([CANDIDATE_LOGITS, CANDIDATE_LOGITS[:, :1]], axis=1)
    student = TranslationOutputs(tf.constant(LOGITS), tf.constant(logits))
    measure = ExpectedBleu(num_candidates=2)
    again = targets(twice, np.concatenate([SCORES, SCORES[:, :1]], axis=1))
    np.testing.assert_allclose(measure(student, again), measure(outputs(), targets()), rtol=1e-12)


def test_what_is_no_candidate_does_not_count():
    missing = CANDIDATES.copy()
    missing[0, 1] = 0
    missing[1] = 0
    got = ExpectedBleu(num_candidates=2)(outputs(), targets(missing))
    np.testing.assert_allclose(got, [0.6, 0.0], rtol=1e-6)


def test_expected_bleu_asks_for_what_raises_it():
    logits = tf.Variable(CANDIDATE_LOGITS)
    with tf.GradientTape() as tape:
        student = TranslationOutputs(tf.constant(LOGITS), tf.convert_to_tensor(logits))
        value = ExpectedBleu(num_candidates=2)(student, targets())
    gradient = tf.convert_to_tensor(tape.gradient(value, logits)).numpy()
    assert np.all(gradient[0, 0, np.arange(4), CANDIDATES[0, 0]] > 0)
    assert np.all(gradient[0, 1, np.arange(2), CANDIDATES[0, 1, :2]] < 0)


def test_log_likelihood_is_minus_cross_entropy():
    got = TranslationLogLikelihood()(outputs(), targets())
    want = [log_p(LOGITS[i], REFERENCES[i]) / 2.5 for i in range(2)]
    np.testing.assert_allclose(got, want, rtol=1e-12)
    losses = PerToken(CrossEntropy())(outputs(), targets(), {})
    np.testing.assert_allclose(got, -losses, rtol=1e-12)


def test_what_they_ask_for():
    assert ExpectedBleu(num_candidates=7).num_candidates == 7
    assert TranslationLogLikelihood().num_candidates == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_candidates": 1}, "ExpectedBleu: num_candidates must be at least 2, got 1"),
        ({"alpha": 0.0}, "ExpectedBleu: alpha must be positive and finite, got 0.0; use 1.0"),
        ({"alpha": float("nan")}, "ExpectedBleu: alpha must be positive and finite, got nan"),
    ],
)
def test_arguments_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        ExpectedBleu(**settings)


@pytest.mark.parametrize(
    ("student", "reference", "message"),
    [
        (outputs()._replace(candidate_logits=None), targets(), "outputs.candidate_logits is miss"),
        (outputs(), targets()._replace(candidates=None), "targets.candidates is missing; give"),
    ],
)
def test_candidates_that_are_missing(student, reference, message):
    with pytest.raises(ValueError, match=f"ExpectedBleu: {message}"):
        ExpectedBleu()(student, reference)
