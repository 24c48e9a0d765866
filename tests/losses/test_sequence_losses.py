import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.losses import (
    CrossEntropy,
    LabelSmoothing,
    MinimumRisk,
    PerToken,
    Reinforce,
    SoftmaxMargin,
)
from tf_l2t.types import Candidates, Sentences, TranslationOutputs, TranslationTargets

RNG = np.random.default_rng(0)
REFERENCES = np.array([[4, 5, 3], [5, 3, 0]])
CANDIDATES = np.array(
    [[[4, 5, 4, 3], [5, 3, 0, 0], [1, 3, 0, 0]], [[5, 4, 3, 0], [3, 0, 0, 0], [4, 4, 4, 4]]]
)
SCORES = np.array([[0.5, 0.75, 0.0], [0.25, 0.0, 0.125]])
LOGITS = RNG.normal(size=(2, 3, 6))
CANDIDATE_LOGITS = RNG.normal(size=(2, 3, 4, 6))
LOSSES = [MinimumRisk(), Reinforce(), SoftmaxMargin(include_reference=True)]


def sentences(ids: np.ndarray) -> Sentences:
    return Sentences(tf.constant(ids, tf.int32), tf.constant((ids != 0).sum(-1), tf.int32))


def outputs(candidate_logits: np.ndarray = CANDIDATE_LOGITS) -> TranslationOutputs:
    return TranslationOutputs(tf.constant(LOGITS), tf.constant(candidate_logits))


def targets(candidates: np.ndarray = CANDIDATES, scores: np.ndarray = SCORES):
    return TranslationTargets(
        sentences(REFERENCES),
        tf.constant(2.5, tf.float64),
        Candidates(sentences(candidates), tf.constant(scores, tf.float32)),
    )


def log_p(logits: np.ndarray, ids: np.ndarray) -> float:
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(log_softmax[r, word] for r, word in enumerate(ids) if word)


def proposed(i: int, include_reference: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns log p, words and BLEU of the candidates of an example."""
    of = [(log_p(CANDIDATE_LOGITS[i, k], CANDIDATES[i, k]), CANDIDATES[i, k]) for k in range(3)]
    scores = list(SCORES[i])
    if include_reference:
        of.append((log_p(LOGITS[i], REFERENCES[i]), REFERENCES[i]))
        scores.append(1.0)
    return (
        np.array([s for s, _ in of]),
        np.array([np.count_nonzero(ids) for _, ids in of]),
        np.array(scores),
    )


@pytest.mark.parametrize("normalize_length", [False, True])
@pytest.mark.parametrize("include_reference", [False, True])
def test_minimum_risk(include_reference, normalize_length):
    loss = MinimumRisk(
        alpha=0.4, include_reference=include_reference, normalize_length=normalize_length
    )
    want = []
    for i in range(2):
        s, words, bleu = proposed(i, include_reference)
        q = np.exp(0.4 * s / (words if normalize_length else 1))
        want.append(q @ (1 - bleu) / q.sum())
    np.testing.assert_allclose(loss(outputs(), targets(), {}), want, rtol=1e-12)


@pytest.mark.parametrize("baseline", ["others", "mean", "none"])
def test_reinforce(baseline):
    loss = Reinforce(baseline=baseline, token_weight=0.0)
    want = []
    for i in range(2):
        s, _, bleu = proposed(i, False)
        b = {
            "others": np.array([np.delete(bleu, k).mean() for k in range(3)]),
            "mean": bleu.mean(),
            "none": 0.0,
        }[baseline]
        want.append(-np.mean((bleu - b) * s) / 2.5)
    np.testing.assert_allclose(loss(outputs(), targets(), {}), want, rtol=1e-12)


@pytest.mark.parametrize("include_reference", [False, True])
def test_softmax_margin(include_reference):
    loss = SoftmaxMargin(cost_scale=2.0, include_reference=include_reference, token_weight=0.0)
    want = []
    for i in range(2):
        s, words, bleu = proposed(i, include_reference)
        s /= words
        want.append(-s[np.argmax(bleu)] + np.log(np.sum(np.exp(s + 2 * (1 - bleu)))))
    np.testing.assert_allclose(loss(outputs(), targets(), {}), want, rtol=1e-12)


def test_golden():
    student = TranslationOutputs(
        tf.constant([[[0.0, 0.0, 0.0, 0.0]]]),
        tf.constant([[[[0.0, 2.0, 0.0, 1.0]], [[0.0, 2.0, 0.0, 1.0]]]]),
    )
    two = Candidates(sentences(np.array([[[1], [3]]])), tf.constant([[0.75, 0.25]]))
    reference = TranslationTargets(sentences(np.array([[2]])), tf.constant(2.0), two)
    risk = MinimumRisk(alpha=1.0, include_reference=False)(student, reference, {})
    np.testing.assert_allclose(risk, [0.38447071], rtol=1e-6)
    reinforce = Reinforce(token_weight=0.0)(student, reference, {})
    np.testing.assert_allclose(reinforce, [-0.125], rtol=1e-6)
    margin = SoftmaxMargin(token_weight=0.0)(student, reference, {})
    np.testing.assert_allclose(margin, [0.25 + np.log1p(np.exp(-0.5))], rtol=1e-6)


@pytest.mark.parametrize("kind", [MinimumRisk, Reinforce, SoftmaxMargin])
def test_a_part_of_it_is_cross_entropy(kind):
    alone = kind(token_weight=0.0)(outputs(), targets(), {})
    mixed = kind(token_weight=0.25, label_smoothing=0.0)(outputs(), targets(), {})
    words = PerToken(CrossEntropy())(outputs(), targets(), {})
    np.testing.assert_allclose(mixed, 0.75 * alone + 0.25 * words, rtol=1e-12)
    smoothed = kind(token_weight=0.25, label_smoothing=0.2)(outputs(), targets(), {})
    words = PerToken(LabelSmoothing(epsilon=0.2))(outputs(), targets(), {})
    np.testing.assert_allclose(smoothed, 0.75 * alone + 0.25 * words, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "changes"),
    [
        (MinimumRisk(alpha=0.4), False),
        (SoftmaxMargin(), False),
        (Reinforce(), True),
    ],
)
def test_a_set_of_candidates_has_each_once_and_samples_count_as_often_as_drawn(loss, changes):
    twice = np.concatenate([CANDIDATES, CANDIDATES[:, :1]], axis=1)
    scores = np.concatenate([SCORES, SCORES[:, :1]], axis=1)
    logits = np.concatenate([CANDIDATE_LOGITS, CANDIDATE_LOGITS[:, :1]], axis=1)
    got = loss(outputs(logits), targets(twice, scores), {})
    assert np.allclose(got, loss(outputs(), targets(), {}), rtol=1e-12) != changes


def test_a_candidate_that_is_the_reference_counts_once():
    found = CANDIDATES.copy()
    found[0, 2], found[1, 2] = [4, 5, 3, 0], [5, 3, 0, 0]
    scores = SCORES.copy()
    scores[:, 2] = 1.0
    nothing = found.copy()
    nothing[:, 2] = 0
    for loss in (MinimumRisk(alpha=0.4), SoftmaxMargin(include_reference=True)):
        got = loss(outputs(), targets(found, scores), {})
        np.testing.assert_allclose(got, loss(outputs(), targets(nothing, scores), {}), rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_what_is_no_candidate_does_not_count(loss):
    """Two candidates and an empty row are as two candidates, none is nothing."""
    missing, scores = CANDIDATES.copy(), SCORES.copy()
    missing[:, 1], scores[:, 1] = 0, 0.9
    two = [0, 2]
    got = loss(outputs(), targets(missing, scores), {})
    want = loss(outputs(CANDIDATE_LOGITS[:, two]), targets(CANDIDATES[:, two], SCORES[:, two]), {})
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_no_candidate_at_all_is_no_loss():
    nothing = targets(np.zeros_like(CANDIDATES))
    for loss in (
        MinimumRisk(include_reference=False),
        Reinforce(token_weight=0.0),
        Reinforce(token_weight=0.0, baseline="mean"),
        SoftmaxMargin(token_weight=0.0),
    ):
        np.testing.assert_array_equal(loss(outputs(), nothing, {}), [0.0, 0.0])


@pytest.mark.parametrize(("baseline", "factor"), [("others", 1.0), ("mean", 0.5), ("none", 1.0)])
def test_the_mean_gradient_of_reinforce_is_that_of_expected_bleu(baseline, factor):
    """Exactly: over all pairs that a student of three one-word sentences can sample."""
    logits, bleu = tf.constant([0.3, -0.4, 0.9], tf.float64), np.array([0.2, 0.9, 0.4])
    loss = Reinforce(num_candidates=2, baseline=baseline, token_weight=0.0)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        expected = -tf.reduce_sum(tf.nn.softmax(logits) * bleu) / 2.0
    want = tape.gradient(expected, logits)
    p, got = tf.nn.softmax(logits).numpy(), np.zeros(3)
    for pair in itertools.product(range(3), repeat=2):
        words = tf.constant([[[word] for word in pair]])
        sampled = Sentences(words, tf.ones([1, 2], tf.int32))
        reference = TranslationTargets(
            Sentences(words[:, 0], tf.constant([1])),
            tf.constant(2.0, tf.float64),
            Candidates(sampled, tf.constant(bleu[list(pair)][np.newaxis])),
        )
        with tf.GradientTape() as tape:
            tape.watch(logits)
            student = TranslationOutputs(
                logits[tf.newaxis, tf.newaxis],
                tf.tile(logits[tf.newaxis, tf.newaxis, tf.newaxis], [1, 2, 1, 1]),
            )
            value = loss(student, reference, {})
        got += p[list(pair)].prod() * tape.gradient(value, logits).numpy()
    np.testing.assert_allclose(got, factor * want.numpy(), rtol=1e-12, atol=1e-15)


def test_softmax_margin_asks_for_a_larger_margin_from_worse_candidates():
    logits = tf.Variable(np.zeros((2, 3, 4, 6)))
    with tf.GradientTape() as tape:
        student = TranslationOutputs(tf.constant(LOGITS), tf.convert_to_tensor(logits))
        value = SoftmaxMargin(token_weight=0.0)(student, targets(), {})
    gradient = tf.convert_to_tensor(tape.gradient(value, logits)).numpy()
    pull = [
        gradient[0, k, 0, CANDIDATES[0, k, 0]] * np.count_nonzero(CANDIDATES[0, k])
        for k in range(3)
    ]
    assert pull[1] < 0 < pull[0] < pull[2]


def test_how_many_candidates_they_ask_for():
    assert [loss.num_candidates for loss in LOSSES] == [5, 5, 5]
    assert Reinforce(num_candidates=3).num_candidates == 3
    assert CrossEntropy().num_candidates == 0
    assert PerToken(CrossEntropy()).num_candidates == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MinimumRisk(num_candidates=0), "MinimumRisk: num_candidates must be at least 1"),
        (
            lambda: MinimumRisk(num_candidates=1, include_reference=False),
            "MinimumRisk: num_candidates must be at least 2, got 1",
        ),
        (lambda: MinimumRisk(alpha=0.0), "MinimumRisk: alpha must be positive .* got 0.0; use"),
        (lambda: MinimumRisk(token_weight=1.0), r"MinimumRisk: token_weight must be in \[0, 1\)"),
        (lambda: Reinforce(num_candidates=1), "Reinforce: num_candidates must be at least 2"),
        (lambda: Reinforce(baseline="x"), "Reinforce: baseline must be one of others, mean, none"),
        (lambda: SoftmaxMargin(cost_scale=-1.0), "SoftmaxMargin: cost_scale must be positive"),
        (lambda: SoftmaxMargin(label_smoothing=2.0), r"SoftmaxMargin: label_smoothing must be in"),
        (
            lambda: SoftmaxMargin(num_candidates=2.5),
            "SoftmaxMargin: num_candidates must be a whole",
        ),
        (
            lambda: PerToken(Reinforce()),
            "PerToken: loss must be one of a classifier, got Reinforce",
        ),
    ],
)
def test_arguments_that_make_no_sense(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_candidates_that_are_missing(loss):
    name = type(loss).__name__
    with pytest.raises(ValueError, match=f"{name}: targets.candidates is missing; give batches"):
        loss(outputs(), targets()._replace(candidates=None), {})
    with pytest.raises(ValueError, match=f"{name}: outputs.candidate_logits is missing"):
        loss(outputs()._replace(candidate_logits=None), targets(), {})
