import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation import SGD
from tf_l2t.losses import CrossEntropy
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.recipe import Recipe, constant, cosine, steps
from tf_l2t.training.rollout import Budget, Lesson, Teaching
from tf_l2t.training.seeds import student_seed


@pytest.mark.parametrize("taught", [True, False])
def test_accuracies_along_the_training_are_noted_of_every_loss(taught, make_teaching, task) -> None:
    teaching, theta = make_teaching(num_steps=20), []
    if taught:
        theta = [tf.convert_to_tensor(v) for v in teaching.teacher.trainable_variables]
    else:
        budget = Budget(20, observe_every=7)
        teaching = Teaching(task, CrossEntropy(), SGD(learning_rate=0.5), budget)
    states = []
    plain = teaching.roll_out(theta, 3, on_segment=lambda _, state: states.append(state))
    lessons: list[Lesson] = []
    keep = lambda seed, lesson: lessons.append(lesson)
    (result,) = train_and_score(teaching, theta, [3], ["dev"], on_lesson=keep, observe=True)
    (lesson,) = lessons
    expected = [task.evaluate(state, "dev")["accuracy"] for state in states]
    np.testing.assert_allclose(result["observed_dev_accuracy"], expected, atol=1e-6)
    assert len(result["observed_training_accuracy"]) == 3
    for ours, theirs in zip(lesson.rollout.state.weights, plain.rollout.state.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (blind,) = train_and_score(teaching, theta, [3], ["dev"])
    assert not any(name.startswith("observed") for name in blind)


def test_no_two_students_share_a_seed() -> None:
    seeds = {
        student_seed(role, index, run)
        for role in ("teaching", "selection", "search", "test")
        for index in (0, 1, 9_999_999)
        for run in (0, 1, 49)
    }
    assert len(seeds) == 4 * 3 * 3
    assert max(seeds) < 2**31
    with pytest.raises(ValueError, match="index"):
        student_seed("test", 10_000_000)
    with pytest.raises(ValueError, match="seed must be in"):
        student_seed("test", 0, run_seed=50)


def test_schedules_run_over_the_whole_budget() -> None:
    assert constant(0.3, 100) == 0.3
    half = cosine(0.4, 100)
    np.testing.assert_allclose([half(0), half(50), half(100)], [0.4, 0.2, 0.0], atol=1e-7)
    risen = cosine(0.4, 100, final_fraction=0.5, warmup_steps=20)
    got = [risen(0), risen(5), risen(20), risen(60), risen(100)]
    np.testing.assert_allclose(got, [0.0, 0.1, 0.4, 0.3, 0.2], atol=1e-7)
    with pytest.raises(ValueError, match="warmup_steps must be below T=20, got 20"):
        cosine(0.4, 20, warmup_steps=20)
    drops = steps(0.4, 100)
    np.testing.assert_allclose([drops(49), drops(50), drops(99)], [0.4, 0.04, 0.004], rtol=1e-5)


@pytest.mark.parametrize(
    ("num_steps", "arguments", "rates"),
    [
        (64_000, {}, {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001}),
        (
            100_000,
            {"at": (0.3, 0.6, 0.8), "factor": 0.2},
            {29_999: 0.1, 30_000: 0.02, 60_000: 0.004, 80_000: 0.0008, 99_999: 0.0008},
        ),
    ],
)
def test_published_schedules(num_steps, arguments, rates) -> None:
    schedule = steps(0.1, num_steps, **arguments)
    got = [float(schedule(tf.constant(t))) for t in rates]
    np.testing.assert_allclose(got, list(rates.values()), rtol=1e-5)


def test_a_recipe_makes_the_rule_at_a_rate() -> None:
    rule = Recipe(SGD, constant)(0.25, 10)
    weights, _ = rule.apply([np.float32([1.0])], [np.float32([2.0])], (), 0)
    np.testing.assert_allclose(weights[0], [0.5])
