"""A student with a critic: it goes on from what was stored, after a warm start, or waits."""

import numpy as np
import tensorflow as tf

from tf_l2t.differentiation import SGD
from tf_l2t.losses import ActorCritic, Loss
from tf_l2t.losses.critic import CriticState
from tf_l2t.training.budget import Budget
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.warm_start import WarmStart
from tf_l2t.types import StudentState

STEPS, SEED = 4, 3


def small_critic(**settings) -> ActorCritic:
    return ActorCritic(num_candidates=2, critic_embedding=3, critic_units=3, **settings)


def teaching(task, loss: Loss, num_steps: int = STEPS, warm_start=None) -> Teaching:
    budget = Budget(num_steps, observe_every=2, warm_start_steps=2 if warm_start else 0)
    return Teaching(task, loss, SGD(0.5, momentum=0.5), budget, warm_start=warm_start)


def assert_same_bits(one: StudentState, other: StudentState) -> None:
    tf.nest.assert_same_structure(one, other)
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_it_goes_on_from_a_file_to_the_same_bits(make_translation, tmp_path) -> None:
    taught = teaching(make_translation(), small_critic(critic_steps=1))
    middle = []
    lesson = taught.roll_out([], SEED, on_segment=lambda segment, state: middle.append(state))
    end = lesson.rollout.state
    assert int(CriticState(*end.loss_state).steps) == STEPS
    assert int(CriticState(*middle[1].loss_state).steps) == 2

    np.savez(tmp_path / "state.npz", *tf.nest.flatten(middle[1]))
    with np.load(tmp_path / "state.npz") as stored:
        restored = [tf.constant(array) for array in stored.values()]

    def go_on(state: StudentState) -> StudentState:
        context_fn = lambda segment, state: taught._contexts(segment, state, [SEED])
        rollout = taught.engine.roll_out(
            state, [], STEPS, start=2, context_fn=context_fn, record=False
        )
        return rollout.state

    assert_same_bits(go_on(tf.nest.pack_sequence_as(middle[1], restored)), end)
    # Where the critic was lost, the student ends as another one.
    lost = go_on(middle[1]._replace(loss_state=middle[0].loss_state))
    pairs = zip(lost.weights, end.weights, strict=True)
    assert any(np.any(one != two) for one, two in pairs)


def test_after_a_warm_start_the_critic_is_fresh(make_translation) -> None:
    task = make_translation()
    warm_start = WarmStart(teaching(task, task.likelihood, num_steps=2))
    taught = teaching(task, small_critic(), warm_start=warm_start)
    ((state, _),) = taught._begin([SEED], None)
    fresh = small_critic().initial_state(len(task.class_names), SEED)
    tf.nest.map_structure(np.testing.assert_array_equal, state.loss_state, fresh)
    pairs = zip(state.weights, taught.task.initial(SEED)[0], strict=True)
    assert any(np.any(warm != cold) for warm, cold in pairs)


def test_a_critic_may_learn_before_a_student_that_stays_as_it_is(make_translation) -> None:
    taught = teaching(make_translation(), small_critic(critic_steps=STEPS, token_weight=0.0))
    state = taught.roll_out([], SEED).rollout.state
    initial, _ = taught.task.initial(SEED)
    tf.nest.map_structure(np.testing.assert_array_equal, state.weights, initial)
    critic = CriticState(*state.loss_state)
    assert int(critic.steps) == STEPS
    fresh = CriticState(*taught._loss.initial_state(len(taught.task.class_names), SEED))
    pairs = zip(critic.weights, fresh.weights, strict=True)
    assert all(np.any(one != two) for one, two in pairs)
