"""Teachers that learn their first steps from shorter students."""

import functools

import keras
import numpy as np
import pytest
from restoring import assert_goes_on_alike, flat

from tf_l2t.losses import DynamicBilinear
from tf_l2t.teachers import attention_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.rows import Row
from tf_l2t.training.teacher_trainer import TeacherSchedule, TeacherTrainer
from tf_l2t.training.trust_region import TrustRegion

TAUGHT = Row("taught", DynamicBilinear(), (0.5,), attention_teacher)
# Segments of seven of twenty steps.
GROWTH, LENGTHS = (0.35, 0.7, 1), (7, 14, 20)


@pytest.fixture(scope="module")
def teaching_of(compare):
    """T -> how students of it are taught, their rate along half a cosine."""
    comparison = compare([TAUGHT], observe_every=7, baseline=None)
    return functools.partial(comparison.teaching_at, TAUGHT, 0.5)


def make_trainer(teaching_of, growth=GROWTH, **schedule) -> TeacherTrainer:
    return TeacherTrainer(
        teaching_of(20),
        keras.optimizers.Adam(1e-3),
        TeacherSchedule(**{"num_steps": 6, "select_every": 3, "growth": growth, **schedule}),
        # Scores on the 50 dev images jump.
        TrustRegion(max_score_drop=1.0),
        shorter=teaching_of,
    )


def test_students_grow_and_selection_students_do_not(teaching_of, monkeypatch) -> None:
    trained = []
    for length in LENGTHS:
        teaching = teaching_of(length)
        once = teaching.roll_out_each

        def roll_out_each(*args, length=length, once=once, record=False, **rest):
            trained.append((length, record))
            return once(*args, record=record, **rest)

        monkeypatch.setattr(teaching, "roll_out_each", roll_out_each)
    trainer, counted = make_trainer(teaching_of), []
    while not trainer.finished:
        done = trainer.work()[1]
        assert sum(counted) == done
        trainer.step(counted.append)
    trainer.finish(counted.append)
    selected = [(20, False)] * 2
    grown = [[(length, True)] * 2 for length in LENGTHS]
    assert trained == [
        *selected, *grown[0], grown[1][0], *selected, grown[1][1], *grown[2], *selected
    ]  # fmt: skip
    assert [step.student_steps for step in trainer.history] == [7, 7, 14, 14, 20, 20]
    assert all(step.taken for step in trainer.history)
    assert trainer.steps_in_reverse == 2 * sum(LENGTHS)
    assert trainer.work()[0] == sum(counted) == 4 * sum(LENGTHS) + 3 * 2 * 20


def test_a_short_student_has_the_whole_course_of_its_rate_and_of_t(teaching_of) -> None:
    short, theta = teaching_of(14), make_trainer(teaching_of).theta
    lesson = short.roll_out(theta, 3)
    assert [float(s[0]) for s in lesson.state_vectors] == [0.0, 0.5]
    rate = short.engine.step.update_rule.learning_rate
    assert [float(rate(t)) for t in (0, 7, 14)] == pytest.approx([0.5, 0.25, 0.0])


def test_a_step_is_that_of_a_teacher_of_short_students(teaching_of) -> None:
    growing = make_trainer(teaching_of)
    short = TeacherTrainer(
        teaching_of(7), keras.optimizers.Adam(1e-3), TeacherSchedule(6), TrustRegion()
    )
    assert growing.step().measure == short.step().measure
    np.testing.assert_array_equal(flat(growing.theta), flat(short.theta))


# Within a length, and where the next one begins.
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_restored_trainer_goes_on_to_the_very_same_numbers(after, teaching_of) -> None:
    whole, restored = assert_goes_on_alike(lambda: make_trainer(teaching_of), after)
    assert whole.history == restored.history
    assert whole.trust_region == restored.trust_region


@pytest.mark.parametrize("usual", ["norms", "scores"])
def test_longer_students_are_not_measured_by_shorter_ones(usual, teaching_of) -> None:
    trainer = make_trainer(teaching_of)
    region = trainer.trust_region
    for taken, kept in ((True, 1), (False, 5), (True, 1), (False, 5)):
        assert trainer.step().taken is taken
        assert len(region.norms) == len(region.scores) == kept
        # From now on whatever a student of the same length gives is an outlier.
        setattr(region, usual, [1e-9 if usual == "norms" else 9.0] * 5)
        region.norms, region.scores = (region.norms * 5)[:5], (region.scores * 5)[:5]


def test_students_that_do_not_grow_are_remembered(teaching_of) -> None:
    trainer = make_trainer(teaching_of, growth=None)
    for _ in range(3):
        trainer.step()
    assert len(trainer.trust_region.norms) == 3


@pytest.mark.parametrize(
    "growth",
    [(), (0.5,), (0.5, 0.25, 1), (0.5, 0.5, 1), (0, 1), (-0.5, 1), (0.5, 1.5), (np.nan, 1), 0.5],
)
def test_a_growth_that_does_not_rise_to_the_whole_is_refused(growth) -> None:
    with pytest.raises(ValueError, match=r"growth must .*rise to 1.*got .*teacher_budget"):
        TeacherSchedule(growth=growth)


def test_a_growth_with_too_few_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_steps=2 is less .* growth=\(0.25, 0.5, 1\)"):
        TeacherSchedule(num_steps=2, growth=(0.25, 0.5, 1))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(20, observe_every=7, warm_start_steps=5), "warm_start_steps=5"),
        (Budget(20, observe_every=20), r"students of \[0, 0, 20\] steps.*observe_every=20"),
        (Budget(20, observe_every=10), r"students of \[0, 10, 20\] steps"),
        (Budget(100, observe_every=50), r"students of \[0, 50, 100\] steps"),
    ],
)
def test_students_that_cannot_grow_are_refused(budget, message) -> None:
    with pytest.raises(ValueError, match=message):
        TeacherSchedule(growth=(0.25, 0.5, 1)).check(budget)


def test_students_whose_reversed_part_begins_between_two_observations_are_refused() -> None:
    schedule, budget = TeacherSchedule(growth=(0.5, 1)), Budget(400, observe_every=50)
    for truncate in (None, 100, 200, 1000):
        schedule.check(budget, truncate)
    # Of the long ones 250 are left out.
    with pytest.raises(ValueError, match=r"truncate=140 leaves out 60 steps of students of 200"):
        schedule.check(Budget(390, observe_every=50), 140)
    with pytest.raises(ValueError, match=r"truncate=150 leaves out 240 .* of 390"):
        TeacherSchedule().check(Budget(390, observe_every=50), 150)


def test_a_trainer_that_is_not_told_of_shorter_students_says_so(teaching_of) -> None:
    trainer = make_trainer(teaching_of)
    trainer.shorter = None
    with pytest.raises(ValueError, match="shorter must say how students of 7 steps"):
        trainer.step()
