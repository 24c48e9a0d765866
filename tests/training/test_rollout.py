import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.differentiation import SGD
from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.losses import CrossEntropy, DynamicBilinear, LabelSmoothing
from tf_l2t.teachers import fixed_teacher
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.rollout import Budget, Teaching
from tf_l2t.training.warm_start import WarmStart


def weights_of(lesson) -> np.ndarray:
    return np.concatenate([w.numpy().ravel() for w in lesson.rollout.state.weights])


def theta_of(teaching) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(v) for v in teaching.teacher.trainable_variables]


def test_a_seed_is_a_student(make_teaching) -> None:
    teaching = make_teaching()
    theta = theta_of(teaching)
    first, again, other = (weights_of(teaching.roll_out(theta, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_recording_does_not_change_the_student(make_teaching) -> None:
    teaching = make_teaching()
    theta = theta_of(teaching)
    plain, recorded = (teaching.roll_out(theta, 1, record=record) for record in (False, True))
    np.testing.assert_array_equal(weights_of(plain), weights_of(recorded))


def test_the_state_vector_is_what_was_measured_at_the_start_of_each_segment(
    make_teaching, task
) -> None:
    teaching = make_teaching(num_steps=20)
    seen = []
    lesson = teaching.roll_out(
        theta_of(teaching), 1, on_segment=lambda segment, state: seen.append((segment, state))
    )
    assert lesson.steps == [0, 7, 14]
    for (segment, state), vector in zip(seen, lesson.state_vectors, strict=True):
        assert float(vector[0]) == pytest.approx(segment.start / 20)
        np.testing.assert_array_equal(vector[1:], task.observe(state))
        dev = task.evaluate(state, "dev")["accuracy"]
        assert float(vector[2]) == pytest.approx(dev, abs=1e-6)


def test_a_teacher_that_never_changes_equals_the_loss_with_these_coefficients(task) -> None:
    loss = DynamicBilinear()
    shapes = task.coefficient_shapes(loss)
    teacher = fixed_teacher(shapes, len(task.feature_names), diagonal=0.3, off_diagonal=0.01)

    class WithConstant(DynamicBilinear):
        def schedule(self, step: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"phi": 0.29 * tf.eye(3) + 0.01}

    taught, fixed = (
        Teaching(task, loss, SGD(learning_rate=0.5), Budget(15), teacher).roll_out([], 3)
        for loss, teacher in ((loss, teacher), (WithConstant(), None))
    )
    np.testing.assert_allclose(weights_of(taught), weights_of(fixed), rtol=1e-5)


def test_a_warm_start_is_cross_entropy_and_then_the_taught_loss(make_teaching, task) -> None:
    rule = SGD(learning_rate=0.1, momentum=0.9)
    warm = make_teaching(num_steps=20, warm_start=14)
    seen = []
    lesson = warm.roll_out(
        theta_of(warm), 1, on_segment=lambda segment, state: seen.append((segment, state))
    )
    assert lesson.steps == [14]
    cross_entropy = Teaching(task, CrossEntropy(), rule, Budget(14, observe_every=7))
    before = cross_entropy.roll_out([], 1)
    first_taught = np.concatenate([w.numpy().ravel() for w in seen[-1][1].weights])
    np.testing.assert_array_equal(first_taught, weights_of(before))
    assert np.abs(weights_of(lesson) - first_taught).max() > 1e-4


def test_a_warm_start_is_made_once_for_all_that_begin_alike(task) -> None:
    rule = SGD(learning_rate=0.1, momentum=0.9)
    warm = WarmStart(
        Teaching(task, CrossEntropy(), rule, Budget(14, observe_every=7)),
        most=2,
    )
    budget = Budget(20, warm_start_steps=14, observe_every=7)
    one, other = (
        Teaching(task, LabelSmoothing(epsilon=e), rule, budget, warm_start=warm) for e in (0.1, 0.2)
    )
    steps: list[int] = []
    fresh = one.roll_out([], 1)
    again = one.roll_out([], 1, on_steps=steps.append)
    assert steps == [14, 6]
    np.testing.assert_array_equal(weights_of(fresh), weights_of(again))
    assert fresh.kept_seconds == 0 < again.kept_seconds
    different = other.roll_out([], 1)
    assert different.kept_seconds == again.kept_seconds
    assert np.abs(weights_of(different) - weights_of(again)).max() > 0
    for seed in (2, 3):
        assert other.roll_out([], seed).kept_seconds == 0
    # Of the three, the one that was asked for once, and first, made room.
    for seed, kept in ((3, True), (1, True), (2, False)):
        assert (other.roll_out([], seed).kept_seconds > 0) == kept


def test_seconds_of_a_student_count_a_warm_start_that_was_kept(task) -> None:
    rule = SGD(learning_rate=0.1, momentum=0.9)
    warm = WarmStart(Teaching(task, CrossEntropy(), rule, Budget(14)))
    teaching = Teaching(task, CrossEntropy(), rule, Budget(16, 14), warm_start=warm)
    teaching.roll_out([], 5)
    (warmed,) = warm([5])
    (student,) = train_and_score(teaching, [], [5], ["dev"])
    assert student["seconds"] > warmed.kept_seconds > 0


class Fading(CrossEntropy):
    """Cross entropy that counts its own steps, and is divided by that count."""

    def initial_state(self, num_classes, seed):
        return (tf.constant(1), {"scale": tf.constant(1.0)})

    def advance(self, state, outputs, targets, coefficients):
        count, own = state
        after = (count + 1, {"scale": 1 / tf.cast(count + 1, tf.float32)})
        return {**coefficients, **own}, after

    def __call__(self, outputs, targets, coefficients):
        return super().__call__(outputs, targets, {}) * coefficients["scale"]


class Scheduled(Fading):
    """The same from the step alone."""

    def initial_state(self, num_classes, seed):
        return ()

    def advance(self, state, outputs, targets, coefficients):
        return coefficients, state

    def schedule(self, step):
        return {"scale": 1 / tf.cast(step + 1, tf.float32)}


def test_a_loss_may_have_a_state_of_its_own(task) -> None:
    rule = SGD(learning_rate=0.5, momentum=0.9)
    with_state, without = (
        Teaching(task, loss, rule, Budget(9, observe_every=4)).roll_out([], 3)
        for loss in (Fading(), Scheduled())
    )
    np.testing.assert_array_equal(weights_of(with_state), weights_of(without))
    count, own = with_state.rollout.state.loss_state
    assert int(count) == 10
    assert float(own["scale"]) == pytest.approx(0.1)
    assert without.rollout.state.loss_state == ()


class TwoParts(Replicas):
    """Two devices that share every batch."""

    num_parts = 2


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        (Fading(), {}, r"loss=Fading learns from whole batches.* over 2 replicas; take Dist"),
        (CrossEntropy(), {"jit_compile": True}, "jit_compile=True cannot split batches"),
    ],
)
def test_batches_that_cannot_be_split_are_refused(task, loss, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        Teaching(task, loss, SGD(), Budget(9), replicas=TwoParts(), **settings)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"num_steps": 8e2}, "num_steps must be a whole number, got 800.0"),
        *(
            ({"num_steps": 5, "warm_start_learning_rate": rate}, "warm_start_learning_rate must")
            for rate in (0.0, float("nan"), float("inf"), "0.1")
        ),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"num_steps": 5, "warm_start_steps": 5}, "warm_start_steps"),
        ({"num_steps": 5, "warm_start_steps": -1}, "warm_start_steps"),
        ({"num_steps": 5, "warm_start_batch_size": 8}, "warm_start_batch_size=8"),
        (
            {"num_steps": 5, "warm_start_steps": 2, "warm_start_batch_size": 0},
            "warm_start_batch_size",
        ),
        ({"num_steps": 5, "observe_every": 0}, "observe_every"),
    ],
)
def test_bad_budgets_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Budget(**arguments)
