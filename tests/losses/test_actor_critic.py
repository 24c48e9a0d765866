"""The actor-critic loss: targets and gradients by hand, and a critic that learns."""

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data.vocabulary import BOS, EOS, PAD
from tf_l2t.differentiation import Adam
from tf_l2t.losses import ActorCritic, CrossEntropy, PerToken
from tf_l2t.losses.critic import CriticState, critic_error, rewards, targets_of_values
from tf_l2t.measures import sentence_bleu
from tf_l2t.types import Candidates, Sentences, TranslationOutputs, TranslationTargets

pytestmark = pytest.mark.usefixtures("float64")

WORDS = 6
RNG = np.random.default_rng(0)
REFERENCES = np.array([[4, 5, 4, EOS], [5, EOS, 0, 0]])
CANDIDATES = np.array(
    [
        [[4, 5, 5, EOS], [5, EOS, 0, 0], [4, 5, 4, 4]],
        [[EOS, 0, 0, 0], [4, 5, EOS, 0], [0, 0, 0, 0]],
    ]
)
LENGTHS = (CANDIDATES != 0).sum(-1)
LOGITS = RNG.normal(size=(*CANDIDATES.shape, WORDS))
# A student says the same after the same words.
LOGITS[:, :, 0] = LOGITS[:, :1, 0]
LOGITS[0, 2, 1:3] = LOGITS[0, 0, 1:3]
VALUES = RNG.normal(size=LOGITS.shape)
OF_REFERENCES = RNG.normal(size=(*REFERENCES.shape, WORDS))
# Padding and the begin of a sentence are never drawn.
P = np.where(np.isin(range(WORDS), [PAD, BOS]), 0.0, np.exp(LOGITS))
P /= P.sum(-1, keepdims=True)


def sentences(ids: np.ndarray) -> Sentences:
    return Sentences(tf.constant(ids, tf.int32), tf.constant((ids != 0).sum(-1), tf.int32))


def outputs() -> TranslationOutputs:
    return TranslationOutputs(tf.constant(OF_REFERENCES), tf.constant(LOGITS))


def targets() -> TranslationTargets:
    proposed = sentences(CANDIDATES)
    scores = tf.cast(sentence_bleu(proposed, sentences(REFERENCES)), tf.float32)
    mean_length = tf.constant(3.0, tf.float64)
    return TranslationTargets(sentences(REFERENCES), mean_length, Candidates(proposed, scores))


def small(**settings) -> ActorCritic:
    settings = {"critic_embedding": 3, "critic_units": 3, "critic_steps": 0, **settings}
    return ActorCritic(num_candidates=3, **settings)


def test_the_rewards_of_a_sentence_are_its_bleu_word_by_word():
    found = rewards(sentences(CANDIDATES), sentences(REFERENCES)).numpy()
    whole = sentence_bleu(sentences(CANDIDATES), sentences(REFERENCES)).numpy()
    np.testing.assert_allclose(found.sum(-1), whole, atol=1e-12)
    # "4" has one right word of three, "4 5" two, with the brevity penalty of each.
    np.testing.assert_allclose(found[0, 0, :2], [np.exp(-2), np.exp(-0.5) - np.exp(-2)])
    assert found[0, 0, 2] != 0
    assert not np.any(found[..., 1:][CANDIDATES[..., 1:] <= EOS])


def test_a_target_is_the_reward_and_what_is_expected_of_the_next_word():
    gained = RNG.normal(size=CANDIDATES.shape)
    mask = sentences(CANDIDATES).mask(tf.float64)
    found = targets_of_values(tf.constant(gained), tf.constant(P), tf.constant(VALUES), mask)
    for i, k in np.ndindex(*LENGTHS.shape):
        for t in range(LENGTHS[i, k]):
            last = t == LENGTHS[i, k] - 1
            want = gained[i, k, t] + (0 if last else P[i, k, t + 1] @ VALUES[i, k, t + 1])
            assert float(found[i, k, t]) == pytest.approx(want, rel=1e-12)


def test_what_the_critic_minimises():
    wanted = RNG.normal(size=CANDIDATES.shape)
    found = critic_error(tf.constant(VALUES), tf.constant(wanted), sentences(CANDIDATES), 0.25)
    errors = []
    for i, k in np.ndindex(*LENGTHS.shape):
        for t in range(LENGTHS[i, k]):
            q = VALUES[i, k, t]
            error = (q[CANDIDATES[i, k, t]] - wanted[i, k, t]) ** 2
            errors.append(error + 0.25 * np.sum((q - q.mean()) ** 2))
    assert float(found) == pytest.approx(np.mean(errors), rel=1e-12)
    nothing = sentences(np.zeros_like(CANDIDATES))
    assert float(critic_error(tf.constant(VALUES), tf.constant(wanted), nothing, 0.25)) == 0


def test_the_students_gradient():
    """By hand: -1/K Σ_a ∂p(a) Q(a) / n̄ at every word, and nothing behind the end."""
    logits = tf.constant(LOGITS)
    loss = small(token_weight=0.0)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        student = outputs()._replace(candidate_logits=logits)
        values = loss(student, targets(), {"values": tf.constant(VALUES)})
    gradient = tape.gradient(values, logits)
    expected = np.sum(P * VALUES, axis=-1, keepdims=True)
    mask = sentences(CANDIDATES).mask(tf.float64).numpy()[..., np.newaxis]
    number = (LENGTHS > 0).sum(-1)[:, np.newaxis, np.newaxis, np.newaxis]
    want = -P * (VALUES - expected) * mask / number / 3.0
    np.testing.assert_allclose(gradient, want, rtol=1e-10, atol=1e-15)
    total = (expected * mask)[..., 0].sum((1, 2)) / number[:, 0, 0, 0] / 3.0
    np.testing.assert_allclose(values, -total, rtol=1e-12)


def test_a_part_of_it_is_cross_entropy():
    given = {"values": tf.constant(VALUES)}
    alone, mixed = (small(token_weight=w)(outputs(), targets(), given) for w in (0.0, 0.25))
    words = PerToken(CrossEntropy())(outputs(), targets(), {})
    np.testing.assert_allclose(mixed, 0.75 * alone + 0.25 * words, rtol=1e-12)


def test_a_step_of_the_critic():
    """It is one of Adam on the error towards the delayed critic, which then follows."""
    loss = small(critic_learning_rate=0.01, target_rate=0.25, value_penalty=0.1)
    before = CriticState(*loss.initial_state(WORDS, seed=1))
    before = before._replace(delayed=[0.5 * w for w in before.weights], steps=tf.constant(3))
    slots = tuple(
        [tf.fill(w.shape, 0.01 * w.dtype.as_numpy_dtype(1)) for w in u] for u in before.slots
    )
    before = before._replace(slots=slots)
    given, after = loss.advance(tuple(before), outputs(), targets(), {"other": tf.constant(7.0)})
    after = CriticState(*after)
    tf.nest.assert_same_structure(after, before)

    network, proposed = loss._critic(WORDS), sentences(CANDIDATES)
    values = lambda weights: network(weights, sentences(REFERENCES), proposed)
    np.testing.assert_allclose(given["values"], values(before.weights), rtol=1e-12)
    assert float(given["other"]) == 7.0
    wanted = targets_of_values(
        rewards(proposed, sentences(REFERENCES)),
        tf.constant(P),
        values(before.delayed),
        proposed.mask(tf.float64),
    )
    with tf.GradientTape() as tape:
        tape.watch(before.weights)
        error = critic_error(values(before.weights), wanted, proposed, 0.1)
    gradients = tape.gradient(error, before.weights)
    weights, slots = Adam(0.01).apply(before.weights, gradients, slots, tf.constant(3))
    assert int(after.steps) == 4
    for got, want in zip(
        tf.nest.flatten([after.weights, after.slots]),
        tf.nest.flatten([weights, slots]),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-14)
    for got, old, new in zip(after.delayed, before.delayed, weights, strict=True):
        np.testing.assert_allclose(got, 0.75 * old + 0.25 * new, rtol=1e-9, atol=1e-14)


def test_the_student_hears_of_the_critic_after_its_first_steps():
    loss = small(critic_steps=2)
    state, heard = loss.initial_state(WORDS, seed=0), []
    for _ in range(4):
        given, state = loss.advance(state, outputs(), targets(), {})
        heard.append(bool(tf.reduce_any(given["values"] != 0)))
    assert heard == [False, False, True, True]
    assert int(CriticState(*state).steps) == 4


def test_the_critic_learns_the_values_of_a_student_that_stays():
    loss = small(
        critic_embedding=8,
        critic_units=8,
        critic_learning_rate=0.02,
        target_rate=0.2,
        value_penalty=0.0,
    )
    step = tf.function(lambda state: loss.advance(state, outputs(), targets(), {}))
    state = loss.initial_state(WORDS, seed=0)
    proposed = sentences(CANDIDATES)
    mask = proposed.mask(tf.float64)
    gained = rewards(proposed, sentences(REFERENCES))

    def error(state) -> float:
        network, critic = loss._critic(WORDS), CriticState(*state)
        q = network(critic.weights, sentences(REFERENCES), proposed)
        wanted = targets_of_values(gained, tf.constant(P), q, mask)
        return float(critic_error(q, wanted, proposed, 0.0))

    first = error(state)
    for _ in range(100):
        _, state = step(state)
    assert error(state) < 1e-3 * first


def test_a_critic_is_a_function_of_the_seed_and_no_student():
    first, again, other = (small().initial_state(WORDS, seed) for seed in (1, 1, 2))
    tf.nest.map_structure(np.testing.assert_array_equal, first, again)
    pairs = zip(CriticState(*first).weights, CriticState(*other).weights, strict=True)
    assert any(np.any(one != two) for one, two in pairs)
    network = small()._critic(WORDS)
    student, _ = network.initial(1)
    pairs = zip(student, CriticState(*first).weights, strict=True)
    assert any(np.any(one != two) for one, two in pairs)


def test_no_derivative_reaches_the_critic_or_passes_through_it():
    loss = small()
    state, logits = loss.initial_state(WORDS, seed=0), tf.constant(LOGITS)
    floats = [each for each in tf.nest.flatten(state) if each.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch([logits, *floats])
        student = outputs()._replace(candidate_logits=logits)
        given, after = loss.advance(state, student, targets(), {})
        learnt = [tf.reduce_sum(each) for each in tf.nest.flatten(after) if each.dtype.is_floating]
        total = tf.add_n([tf.reduce_sum(given["values"]), *learnt])
    assert tape.gradient(total, [logits, *floats]) == [None] * (1 + len(floats))


def test_no_candidate_at_all_is_no_loss():
    nothing = targets()._replace(
        candidates=Candidates(sentences(np.zeros_like(CANDIDATES)), tf.zeros(LENGTHS.shape))
    )
    loss = small(token_weight=0.0)
    given, _ = loss.advance(loss.initial_state(WORDS, 0), outputs(), nothing, {})
    np.testing.assert_array_equal(loss(outputs(), nothing, given), [0.0, 0.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critic_steps": -1}, "ActorCritic: critic_steps must be at least 0, got -1"),
        ({"critic_learning_rate": 0.0}, "ActorCritic: critic_learning_rate must be positive"),
        ({"critic_units": 0}, "ActorCritic: critic_units must be at least 1, got 0"),
        ({"critic_embedding": 2.5}, "ActorCritic: critic_embedding must be a whole number"),
        ({"target_rate": 0.0}, r"ActorCritic: target_rate must be in \(0, 1\], got 0.0; 1 delays"),
        ({"value_penalty": -1.0}, r"ActorCritic: value_penalty must be in \[0, inf\), got -1.0; 0"),
        ({"token_weight": 1.0}, r"ActorCritic: token_weight must be in \[0, 1\)"),
    ],
)
def test_arguments_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)
    with pytest.raises(ValueError, match="ActorCritic: num_candidates must be at least 1, got 0"):
        ActorCritic(num_candidates=0)


def test_what_is_missing_is_named():
    loss = small()
    with pytest.raises(ValueError, match=r"coefficients\['values'\] is missing, got \['phi'\]"):
        loss(outputs(), targets(), {"phi": tf.constant(1.0)})
    state = loss.initial_state(WORDS, seed=0)
    for call in (lambda *given: loss.advance(state, *given, {}), lambda *given: loss(*given, {})):
        with pytest.raises(ValueError, match="ActorCritic: targets.candidates is missing"):
            call(outputs(), targets()._replace(candidates=None))
        with pytest.raises(ValueError, match=r"ActorCritic: outputs.candidate_logits is missing"):
            call(outputs()._replace(candidate_logits=None), targets())
