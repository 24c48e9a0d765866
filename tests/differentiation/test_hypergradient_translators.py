"""Hypergradients of students that translate, with padding, dropout and embeddings."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from oracles import Problem, WithEngine, full_unroll

from tf_l2t.data.vocabulary import EOS, PAD
from tf_l2t.differentiation import SGD, Adam, Engine, UpdateRule
from tf_l2t.differentiation.step import TrainingStep
from tf_l2t.losses import ActorCritic
from tf_l2t.losses.critic import CriticState
from tf_l2t.students import TranslationStudent, lstm_translator, transformer_translator
from tf_l2t.tasks.proposals import judged
from tf_l2t.types import Sentences, TranslationInputs, TranslationTargets

pytestmark = pytest.mark.usefixtures("float64")

WORDS, STEPS = 11, 3
SOURCE_LENGTHS = [[4, 1, 3], [2, 2, 1], [3, 5, 5], [4, 2, 1]]
TARGET_LENGTHS = [[2, 5, 3], [1, 4, 2], [3, 1, 2], [3, 3, 4]]


def sentences(all_lengths: list[list[int]], seed: int) -> Sentences:
    """Returns batches of random sentences, [batches, batch, length]."""
    lengths = np.array(all_lengths)
    ids = np.random.default_rng(seed).integers(EOS + 1, WORDS, (*lengths.shape, lengths.max()))
    at = np.arange(lengths.max())
    ids = np.where(at < lengths[..., np.newaxis] - 1, ids, PAD)
    ids = np.where(at == lengths[..., np.newaxis] - 1, EOS, ids)
    return Sentences(tf.constant(ids, tf.int32), tf.constant(lengths, tf.int32))


def trimmed(batches: Sentences, t: tf.Tensor) -> Sentences:
    """Returns batch t, as long as its longest sentence, in a graph of any length."""
    lengths = batches.lengths[t]
    return Sentences(batches.ids[t][:, : tf.reduce_max(lengths)], lengths)


def taught(build, rule: UpdateRule, actor_critic: ActorCritic | None = None) -> Problem:
    """Trains a student with a coefficient for each word of the target's vocabulary.

    With another loss beside that one, of which the coefficients also set how much of it there is.
    """
    student = TranslationStudent(build, WORDS, WORDS)
    weights, variables = student.initial(0)
    source, target = sentences(SOURCE_LENGTHS, 1), sentences(TARGET_LENGTHS, 2)
    proposed = sentences(TARGET_LENGTHS[::-1], 4)
    phi = 1 + 0.3 * np.random.default_rng(3).standard_normal(WORDS)

    def loss(outputs, words: Sentences, scale: tf.Tensor) -> tf.Tensor:
        log_p = -tf.nn.sparse_softmax_cross_entropy_with_logits(words.ids, outputs.logits)
        mask = words.mask(log_p.dtype)
        shaped = tf.sigmoid(-log_p * tf.gather(scale, words.ids)) * mask
        return tf.reduce_sum(shaped) / tf.reduce_sum(mask)

    def of_candidates(outputs, inputs, coefficients, critic):
        targets = TranslationTargets(
            inputs.target, tf.constant(3.0, tf.float64), judged(inputs.candidates, inputs.target)
        )
        given, critic = actor_critic.advance(critic, outputs, targets, {})
        return coefficients["phi"][0] * tf.reduce_mean(
            actor_critic(outputs, targets, given)
        ), critic

    def inner_loss(weights, variables, coefficients, batch, *critic):
        t, inputs = batch
        outputs, variables, penalty = student(
            weights, variables, inputs, training=True, seed=tf.stack([5, t])
        )
        total = loss(outputs, inputs.target, coefficients["phi"]) + penalty
        if actor_critic is not None:
            more, critic = of_candidates(outputs, inputs, coefficients, critic)
            total += more
        return total, variables, *critic

    def outer_loss(weights, variables):
        inputs = TranslationInputs(
            *(trimmed(each, tf.constant(STEPS)) for each in (source, target))
        )
        outputs, _, _ = student(weights, variables, inputs, training=False)
        return loss(outputs, inputs.target, tf.ones([WORDS], tf.float64))

    def batch_fn(t):
        inputs = TranslationInputs(trimmed(source, t), trimmed(target, t))
        if actor_critic is not None:
            two = tf.nest.map_structure(lambda *each: tf.stack(each, 2), proposed, target)
            inputs = inputs._replace(candidates=tf.nest.map_structure(lambda all: all[t], two))
        return t, inputs

    return Problem(
        inner_loss,
        outer_loss,
        batch_fn,
        rule,
        STEPS,
        weights,
        {"phi": tf.constant(phi)},
        variables,
        actor_critic.initial_state(WORDS, seed=0) if actor_critic else (),
    )


lstm = functools.partial(lstm_translator, embedding=4, units=4, dropout=0.25)
transformer = functools.partial(
    transformer_translator, layers=1, width=8, hidden=8, heads=2, dropout=0.25
)


def hasty_critic() -> ActorCritic:
    """Learns fast, so that its values are other ones at every step."""
    return ActorCritic(
        critic_steps=1,
        critic_learning_rate=0.1,
        critic_embedding=3,
        critic_units=3,
        target_rate=0.5,
    )


CASES = {
    "lstm": lambda: taught(lstm, Adam(0.0625, epsilon=1e-2)),
    "lstm, attention after": lambda: taught(
        functools.partial(lstm, attention="after"), Adam(0.0625, epsilon=1e-2)
    ),
    "actor-critic": lambda: taught(
        functools.partial(transformer, normalize_first=True),
        SGD(0.5, momentum=0.5),
        hasty_critic(),
    ),
    "transformer": lambda: taught(transformer, SGD(0.5, momentum=0.5)),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_it_is_that_of_the_full_unroll(make):
    problem = make()
    got = WithEngine(problem).every_policy(2)
    want = full_unroll(problem)
    # Of one scale for all: attention's key biases have no derivative, only rounding.
    largest = max(float(tf.reduce_max(tf.abs(each))) for each in want.initial_gradients)
    assert float(tf.reduce_max(tf.abs(want.gradients["phi"]))) > 1e-6
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10 * largest)


def test_a_state_of_the_loss_is_taken_along_and_changes_the_student():
    """The critic learns at every step; put back each time, it makes the student end elsewhere."""
    problem = CASES["actor-critic"]()
    engine = Engine(TrainingStep(problem.inner_loss, lambda t, _: problem.batch_fn(t), SGD(0.5)))
    state = engine.step.initial_state(problem.weights, list(problem.variables), problem.loss_state)
    after = engine.roll_out(state, problem.coefficients, STEPS, record=False).state
    critic, before = CriticState(*after.loss_state), CriticState(*problem.loss_state)
    assert int(critic.steps) == STEPS
    moved = zip(critic.weights, before.weights, critic.delayed, strict=True)
    assert all(np.any(new != old) and np.any(slow != new) for new, old, slow in moved)

    def frozen(*arguments):
        loss, variables, *_ = problem.inner_loss(*arguments)
        return loss, variables, *arguments[4:]

    other = Engine(TrainingStep(frozen, lambda t, _: problem.batch_fn(t), SGD(0.5)))
    still = other.roll_out(state, problem.coefficients, STEPS, record=False).state
    pairs = zip(after.weights, still.weights, strict=True)
    assert any(np.any(one != two) for one, two in pairs)
