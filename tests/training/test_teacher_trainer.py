import keras
import numpy as np
import pytest
import tensorflow as tf
from restoring import assert_goes_on_alike, flat

from tf_l2t.differentiation.reverse import OuterGradient
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.teacher_trainer import TeacherSchedule, TeacherTrainer
from tf_l2t.training.trust_region import TrustRegion


def make_trainer(teaching, optimizer=None, region=None, **schedule) -> TeacherTrainer:
    return TeacherTrainer(
        teaching,
        optimizer or keras.optimizers.Adam(1e-3),
        TeacherSchedule(**{"num_steps": 6, "select_every": 2, **schedule}),
        region or TrustRegion(),
    )


def dev_measure(teaching, theta, seed: int) -> float:
    state = teaching.roll_out(theta, seed).rollout.state
    outer = OuterGradient(teaching.task.dev_loss, teaching.task.num_dev_chunks)
    return -float(outer(state)[0])


def test_a_step_goes_along_the_mean_hypergradient_of_its_students(make_teaching) -> None:
    teaching = make_teaching()
    outer = OuterGradient(teaching.task.dev_loss, teaching.task.num_dev_chunks)
    trainer = make_trainer(teaching, keras.optimizers.SGD(0.1), students_per_step=2)
    theta = trainer.theta
    expected = []
    for index in range(2):
        lesson = teaching.roll_out(theta, student_seed("teaching", index), record=True)
        _, adjoint = outer(lesson.rollout.state)
        expected.append(flat(teaching.engine.reverse(lesson.rollout, theta, adjoint).gradients))
    record = trainer.step()
    moved = flat(trainer.theta) - flat(theta)
    np.testing.assert_allclose(moved, -0.1 * np.mean(expected, axis=0), rtol=1e-4, atol=1e-8)
    assert record.taken
    assert record.norm == pytest.approx(np.mean([np.linalg.norm(g) for g in expected]), rel=1e-4)


def test_the_hypergradient_of_theta_is_the_slope_of_the_dev_loss(make_teaching) -> None:
    teaching = make_teaching()
    outer = OuterGradient(teaching.task.dev_loss, teaching.task.num_dev_chunks)
    theta = make_trainer(teaching).theta
    # Away from the start, where all keys agree and V has no gradient.
    theta = [t + 0.01 * tf.random.stateless_normal(t.shape, [1, k]) for k, t in enumerate(theta)]
    lesson = teaching.roll_out(theta, 5, record=True)
    _, adjoint = outer(lesson.rollout.state)
    gradients = teaching.engine.reverse(lesson.rollout, theta, adjoint).gradients
    size = 1e-2
    direction = [g / tf.linalg.global_norm(gradients) for g in gradients]
    ahead, behind = (
        dev_measure(
            teaching, [t + sign * size * d for t, d in zip(theta, direction, strict=True)], 5
        )
        for sign in (1, -1)
    )
    slope = -(ahead - behind) / (2 * size)
    assert slope == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=0.02)


def test_training_a_teacher_improves_the_dev_measure(make_teaching) -> None:
    teaching = make_teaching()
    trainer = make_trainer(teaching, keras.optimizers.Adam(5e-3), num_steps=25)
    before = np.mean([dev_measure(teaching, trainer.theta, seed) for seed in range(900, 905)])
    while not trainer.finished:
        trainer.step()
    after = np.mean([dev_measure(teaching, trainer.theta, seed) for seed in range(900, 905)])
    assert after > before + 0.01


def test_a_teacher_that_steps_over_the_edge_comes_back(make_teaching) -> None:
    # Steps of 3 in a matrix that starts at 0.2 make the student's training diverge at once.
    teaching = make_teaching(num_steps=60, learning_rate=2.0)
    region = TrustRegion(max_amplification=50.0, regrow_after=100, max_refused_in_a_row=20)
    trainer = make_trainer(teaching, keras.optimizers.Adam(3.0), region, num_steps=30)
    while not trainer.finished:
        trainer.step()
    taken = [step.taken for step in trainer.history]
    first_refused = taken.index(False)
    refused = trainer.history[first_refused]
    assert f"{student_seed('teaching', first_refused)}" in refused.refused[0]
    assert "|λ_0|/|λ_T|" in refused.refused[0]
    assert any(taken[first_refused:])
    assert region.scale < 1
    assert np.isfinite(flat(trainer.theta)).all()
    last = [step.score for step in trainer.history if step.taken][-3:]
    assert np.mean(last) > trainer.history[0].score - 0.1


def test_a_refused_step_goes_back_to_the_last_good_parameters(make_teaching) -> None:
    trainer = make_trainer(make_teaching(), keras.optimizers.Adam(0.01))
    trainer.step()
    good = trainer.theta
    assert trainer.step().taken
    trainer.trust_region.max_amplification = 0.0
    record = trainer.step()
    assert not record.taken
    np.testing.assert_array_equal(flat(trainer.theta), flat(good))
    assert trainer.trust_region.scale == 0.5


def test_too_many_refusals_end_the_training_and_keep_the_best_teacher(make_teaching) -> None:
    region = TrustRegion(max_refused_in_a_row=3)
    trainer = make_trainer(make_teaching(), region=region, num_steps=50)
    trainer.step()
    best = flat(trainer.best_theta)
    region.max_amplification = 0.0
    assert trainer.failure is None
    while not trainer.finished:
        trainer.step()
    trainer.finish()
    assert len(trainer.history) == 4
    assert "3 teacher steps in a row were refused, the last, step 3" in trainer.failure
    assert "learning rate" in trainer.failure
    np.testing.assert_array_equal(flat(trainer.best_theta), best)
    restored = make_trainer(trainer.teaching, region=TrustRegion(max_refused_in_a_row=3))
    restored.restore(*trainer.snapshot())
    assert restored.failure == trainer.failure


def test_further_refusals_go_back_further_and_never_to_a_refused_one(make_teaching) -> None:
    trainer = make_trainer(make_teaching(), keras.optimizers.Adam(0.01), num_steps=50)
    visited = [flat(trainer.theta)]
    for _ in range(3):
        assert trainer.step().taken
        visited.append(flat(trainer.theta))
    trainer.trust_region.max_amplification = 0.0
    for expected in (2, 1, 0, 0):
        trainer.step()
        np.testing.assert_array_equal(flat(trainer.theta), visited[expected])


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "Lion", "RMSprop", "Nadam", "Adafactor", "Muon"]
)
def test_any_keras_optimizer_takes_the_step_and_is_restored(name, make_teaching) -> None:
    trainers = []
    for _ in range(2):
        optimizer = getattr(keras.optimizers, name)(learning_rate=1e-3)
        trainers.append(make_trainer(make_teaching(), optimizer))
    trainers[0].step()
    trainers[1].restore(*trainers[0].snapshot())
    for trainer in trainers:
        assert trainer.step().taken
    np.testing.assert_array_equal(flat(trainers[0].theta), flat(trainers[1].theta))


def test_a_learning_rate_schedule_goes_on_after_a_refusal(make_teaching) -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 1, 0.5)
    optimizer = keras.optimizers.Adam(schedule)
    trainer = make_trainer(make_teaching(), optimizer)
    trainer.step()
    trainer.trust_region.max_amplification = 0.0
    trainer.step()
    # While Adam counts anew, as its moments do.
    assert int(optimizer.iterations) == 0
    assert float(optimizer.learning_rate) == pytest.approx(0.005)
    trainer.trust_region.max_amplification = 1e4
    restored = make_trainer(make_teaching(), keras.optimizers.Adam(schedule))
    restored.restore(*trainer.snapshot())
    before = flat(trainer.theta)
    for each in (trainer, restored):
        assert each.step().taken
        assert float(each._optimizer.learning_rate) == pytest.approx(0.0025)
    np.testing.assert_array_equal(flat(trainer.theta), flat(restored.theta))
    # The first step of an Adam that begins is its learning rate long, here half of it.
    moved = np.abs(flat(trainer.theta) - before).max()
    assert moved == pytest.approx(0.5 * 0.005, rel=1e-2)


def test_a_restored_trainer_goes_on_to_the_very_same_numbers(make_teaching) -> None:
    trainers = assert_goes_on_alike(lambda: make_trainer(make_teaching()), after=3)
    records = [trainer.snapshot().record for trainer in trainers]
    for history in (record["history"] for record in records):
        for step in history:
            assert {"rollout", "dev gradient", "reverse", "evaluation"} <= step["seconds"].keys()
            assert ("selection" in step["seconds"]) == (step["selection"] is not None)
            assert min(step.pop("seconds").values()) > 0
    assert records[0] == records[1]


def test_a_checkpoint_without_times_is_gone_on_with(make_teaching) -> None:
    trainer = make_trainer(make_teaching())
    trainer.step()
    arrays, record = trainer.snapshot()
    del record["history"][0]["seconds"]
    restored = make_trainer(make_teaching())
    restored.restore(arrays, record)
    assert restored.history == trainer.history
    assert restored.history[0].seconds == {}


def test_what_a_teacher_tells_is_seen_at_three_moments(make_teaching) -> None:
    teaching = make_teaching()
    trainer = make_trainer(teaching)
    trainer.step()
    told = trainer.coefficients_of_last_lesson()
    assert list(told) == ["begin", "middle", "end"]
    state = trainer.last_lesson.state_vectors[-1]
    v, w = trainer.theta
    attention = tf.nn.softmax(state[None] @ v)
    np.testing.assert_allclose(told["end"]["attention"], attention[0], rtol=1e-5)
    np.testing.assert_allclose(
        told["end"]["phi"], tf.reshape(attention @ w, [3, 3]), rtol=1e-5, atol=1e-7
    )


def test_the_best_teacher_on_the_selection_students_is_kept(make_teaching) -> None:
    trainer = make_trainer(make_teaching(), keras.optimizers.Adam(0.05), select_every=1)
    scores, thetas = [], []
    while not trainer.finished:
        thetas.append(flat(trainer.theta))
        scores.append(trainer.step().selection)
    best = int(np.argmax(scores))
    assert trainer.best_score == scores[best]
    np.testing.assert_array_equal(flat(trainer.best_theta), thetas[best])


def test_patience_ends_the_training(make_teaching) -> None:
    trainer = make_trainer(
        make_teaching(), keras.optimizers.SGD(0.0), num_steps=50, select_every=1, patience=3
    )
    while not trainer.finished:
        trainer.step()
    assert len(trainer.history) == 4


def test_what_ended_by_patience_stays_ended_though_its_last_teacher_was_the_best(
    make_teaching,
) -> None:
    schedule = {"num_steps": 9, "select_every": 1, "selection_students": 1, "patience": 1}
    trainer = make_trainer(make_teaching(), **schedule)
    trainer.step()
    trainer._selections_since_best = 1
    assert trainer.finished
    trainer._best_score = -np.inf
    trainer.finish()
    assert trainer._selections_since_best == 0
    restored = make_trainer(make_teaching(), **schedule)
    restored.restore(*trainer.snapshot())
    assert trainer.finished
    assert restored.finished


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("theta/0", lambda array: array[:-1]),
        ("best/0", lambda array: array.astype(np.float64)),
        ("good0/1", lambda array: None),
        ("optimizer/9", lambda array: np.zeros(3)),
    ],
)
def test_a_snapshot_of_another_teacher_is_refused_before_anything_is_set(
    name, change, make_teaching
) -> None:
    trainer = make_trainer(make_teaching())
    arrays, record = trainer.snapshot()
    before = flat(trainer.theta)
    arrays = {key: array + 1 for key, array in arrays.items()}
    arrays[name] = change(arrays.get(name))
    arrays = {key: array for key, array in arrays.items() if array is not None}
    with pytest.raises(ValueError, match=f"another teacher or optimizer: {name} is "):
        trainer.restore(arrays, record)
    np.testing.assert_array_equal(flat(trainer.theta), before)


@pytest.mark.parametrize("warm_start", [0, 6])
def test_progress_counts_all_of_the_work(make_teaching, warm_start) -> None:
    teaching = make_teaching(warm_start=warm_start)
    trainer = make_trainer(teaching, num_steps=3, students_per_step=2, num_students=2)
    counted = []
    while not trainer.finished:
        trainer.step(counted.append)
    trainer.finish(counted.append)
    assert sum(counted) == trainer.work()[0]
    # Three steps of two students, two of which are new, and two students three times each.
    assert trainer.steps_in_reverse == 6 * (20 - warm_start)
    assert trainer.planned.kept == (4 + 4) * warm_start


def test_students_are_taught_in_turn(make_teaching) -> None:
    trainer = make_trainer(
        make_teaching(), keras.optimizers.SGD(0.0), students_per_step=2, num_students=3
    )
    norms = [trainer.step().norm for _ in range(4)]
    assert norms[3] == norms[0]
    assert len(set(norms)) == 3


@pytest.mark.parametrize(
    "name", ["students_per_step", "select_every", "selection_students", "patience"]
)
def test_bad_schedules_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TeacherSchedule(**{name: 0})
    if name != "patience":
        with pytest.raises(ValueError, match=f"{name} must be a whole number, got None"):
            TeacherSchedule(**{name: None})
    with pytest.raises(ValueError, match="num_steps"):
        TeacherSchedule(num_steps=-1)
    with pytest.raises(ValueError, match="num_students must be at least 3, got 2"):
        TeacherSchedule(students_per_step=3, num_students=2)
