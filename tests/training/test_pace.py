"""The rehearsal that tells how long a run will take."""

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.training import pace
from tf_l2t.training.pace import measure_pace


def theta_of(teaching) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(v) for v in teaching.teacher.trainable_variables]


def hypergradient(teaching) -> list[np.ndarray]:
    theta = theta_of(teaching)
    lessons = [teaching.roll_out(theta, 3, record=True)]
    outer = OuterGradient(teaching.task.dev_loss, teaching.task.num_dev_chunks)
    ((_, adjoint),) = teaching.differentiate_each(lessons, outer)
    (result,) = teaching.reverse_each(lessons, theta, [adjoint])
    return [gradient.numpy() for gradient in result.gradients]


def test_it_changes_nothing(make_teaching, monkeypatch) -> None:
    teaching = make_teaching(warm_start=4)
    before, state = hypergradient(teaching), np.random.get_state()[1]
    monkeypatch.setattr(pace, "_TRACING_SHARE", 1e9)
    found = measure_pace(teaching, theta_of(teaching), 10**6)
    assert found.forward > 0
    assert found.reverse >= 0
    assert teaching.budget.num_steps == 20
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    for one, other in zip(before, hypergradient(teaching), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_shortened_student_takes_the_first_steps(make_teaching) -> None:
    teaching = make_teaching()
    theta = theta_of(teaching)
    states = []
    whole = teaching.roll_out(theta, 5, on_segment=lambda segment, state: states.append(state))
    short = teaching.shortened(7).roll_out(theta, 5)
    assert whole.steps == [0, 7, 14]
    assert short.steps == [0]
    for one, other in zip(short.rollout.state.weights, states[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("total", [19_999, 0])
def test_a_short_run_is_not_rehearsed(total, make_teaching) -> None:
    assert measure_pace(make_teaching(), None, total) is None


def test_nor_one_that_would_wait_for_tracing(make_teaching, monkeypatch) -> None:
    teaching = make_teaching()
    monkeypatch.setattr(pace, "_TRACING_SHARE", 0.0)
    assert measure_pace(teaching, theta_of(teaching), 10**6) is None
