"""What a comparison searches, trains and says, on the task of conftest."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tf_l2t.data import PairFlips
from tf_l2t.differentiation import SGD
from tf_l2t.losses import CrossEntropy, DynamicBilinear, LabelSmoothing
from tf_l2t.measures import ExpectedAccuracy
from tf_l2t.students import logistic_regression
from tf_l2t.tasks import Classification
from tf_l2t.teachers import attention_teacher, fixed_teacher
from tf_l2t.training.budget import Budget
from tf_l2t.training.estimated import EstimatedForwardCorrection
from tf_l2t.training.evaluate import train_and_score
from tf_l2t.training.recipe import Recipe, cosine
from tf_l2t.training.rollout import Teaching
from tf_l2t.training.rows import Row
from tf_l2t.training.seeds import student_seed
from tf_l2t.training.teacher_step import TeacherSchedule

PLAIN = Row("cross entropy", CrossEntropy(), (0.1, 0.5))


def fresh() -> dict:
    return {"search": {}, "rows": {}, "seconds": {"search": 0.0, "comparison": 0.0}}


def low(shapes, num_features):
    return fixed_teacher(shapes, num_features, off_diagonal=0.0)


def test_the_best_variant_on_dev_is_compared(compare) -> None:
    # With all weight on the uniform distribution nothing can be learned.
    losses = {"hopeless": LabelSmoothing(epsilon=0.999), "some": LabelSmoothing(epsilon=0.05)}
    smoothing = Row("label smoothing", losses, (0.1, 0.5))
    fixed = Row("fixed", DynamicBilinear(), (1.0,), {"low": low, "usual": fixed_teacher})
    comparison, results, saves = compare([PLAIN, smoothing, fixed]), fresh(), []
    comparison.search(results, lambda: saves.append(1))
    tried = results["search"]["label smoothing"]
    assert set(tried) == {"hopeless, 0.1", "hopeless, 0.5", "some, 0.1", "some, 0.5"}
    assert set(results["search"]["fixed"]) == {"low, 1", "usual, 1"}
    assert len(saves) == 2 + 4 + 2
    comparison.run(results, lambda: None)
    row = results["rows"]["label smoothing"]
    assert (row["variant"], row["trials"]) == ("some", 4)
    assert "| some " in results["table"]
    assert "variant" not in results["rows"]["cross entropy"]
    comparison.search(results, lambda: saves.append(1))
    assert len(saves) == 8


def test_rates_of_a_teacher_that_has_learned_are_tried_with_what_it_learned(compare) -> None:
    taught = Row("taught", DynamicBilinear(), (0.2, 1.0), attention_teacher)
    comparison, results = compare([PLAIN, taught]), fresh()
    comparison.search(results, lambda: None, left_out=taught)
    assert list(results["search"]) == ["cross entropy"]
    teaching = comparison.teaching_at(taught, 1.0)
    learned = [
        0.5 * tensor for tensor in comparison.any_teaching(taught).teacher.trainable_variables
    ]
    comparison.search(results, lambda: None, {"taught": learned})
    (student,) = train_and_score(teaching, learned, [student_seed("search", 0)], ["dev"])
    assert results["search"]["taught"]["1"] == student["dev_accuracy"]
    (student,) = train_and_score(
        teaching, teaching.teacher.trainable_variables, [student_seed("search", 0)], ["dev"]
    )
    assert results["search"]["taught"]["1"] != student["dev_accuracy"]


def test_rows_share_the_warm_start_of_a_student(compare) -> None:
    smoothing = Row("label smoothing", LabelSmoothing(epsilon=0.1), (0.1, 0.5))
    comparison = compare([PLAIN, smoothing], warm_start=12, test_seeds=1)
    (warm,) = comparison._warm_starts.values()
    results, made = fresh(), []
    once = warm._teaching.roll_out_each
    warm._teaching.roll_out_each = lambda theta, seeds, **rest: (
        made.extend(seeds) or once(theta, seeds, **rest)
    )
    comparison.search(results, lambda: None)
    comparison.run(results, lambda: None)
    assert made == [student_seed("search", 0), student_seed("test", 0)]
    # Four trials and two students of the table, of which two were made.
    assert sum(comparison.work()) == 6 * 20
    assert comparison.kept_steps == 4 * 12


def test_a_warm_start_may_have_batches_of_another_size(compare, task) -> None:
    comparison = compare([PLAIN], warm_start=12, warm_start_batch_size=16)
    (warm,) = comparison._warm_starts.values()
    same = Teaching(
        task.with_batches_of(16), CrossEntropy(), Recipe(SGD, cosine)(0.05, 20), Budget(12)
    )
    (begun,) = warm([3])
    expected = same.roll_out([], 3).rollout.state.weights
    for ours, theirs in zip(begun.state.weights, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    later = comparison.any_teaching(PLAIN)
    (examples,) = later.batch_at(12, 3, later.first_state(3)).examples
    assert len(examples.targets) == task.batch_size == 8


def test_every_student_that_comes_again_keeps_its_warm_start(compare) -> None:
    schedule = TeacherSchedule(num_students=20, selection_students=2)
    comparison = compare([PLAIN], warm_start=12, taught_again=schedule.taught_again)
    (warm,) = comparison._warm_starts.values()
    made = []
    one = warm._teaching.roll_out([], 0)
    warm._teaching.roll_out_each = lambda theta, seeds, **rest: (
        made.extend(seeds) or [one for _ in seeds]
    )
    for _ in range(3):
        for seed in range(1 + 2 + 20 + 2):
            warm([seed])
    assert made == [*range(25)]


def test_a_row_may_have_a_recipe_of_its_own(compare) -> None:
    shrinking = Recipe(functools.partial(SGD, l2_penalty=0.5), cosine)
    comparison = compare([PLAIN, dataclasses.replace(PLAIN, name="shrinking", recipe=shrinking)])
    results, norms = fresh(), {}

    def on_lesson(row, index, lesson) -> None:
        norms[row.name] = float(tf.linalg.global_norm(lesson.rollout.state.weights))

    comparison.search(results, lambda: None)
    comparison.run(results, lambda: None, on_lesson=on_lesson)
    assert norms["shrinking"] < 0.8 * norms["cross entropy"]


def test_dev_data_that_is_trained_on_is_held_back_in_the_search_alone(compare, task) -> None:
    searched, whole = task.trained_on("dev", held_back=0.2), task.trained_on("dev")
    assert [searched.num_examples(name) for name in ("train", "dev")] == [40, 10]
    assert whole.num_examples("train") == 50
    rows = [
        PLAIN,
        *(Row(data, CrossEntropy(), (0.1,), None, data) for data in ("dev", "train and dev")),
    ]
    comparison, results = compare(rows), fresh()
    comparison.search(results, lambda: None)
    # Ten images are held back, so that accuracies are tenths.
    assert all(results["search"][data]["0.1"] * 10 % 1 < 1e-5 for data in ("dev",))
    comparison.run(results, lambda: None)
    for data in ("dev", "train and dev"):
        row = results["rows"][data]
        assert row["dev_error"] is None
        assert not any("dev" in name for student in row["students"].values() for name in student)
        assert row["difference"]["mean"] is not None
    assert results["rows"]["cross entropy"]["dev_error"] is not None


def test_the_noise_is_estimated_with_a_student_on_cross_entropy(compare, source) -> None:
    noisy = Classification(
        source,
        logistic_regression,
        ExpectedAccuracy(),
        batch_size=8,
        dev_size=50,
        corruption=PairFlips([(0, 1)], 0.8),
    )
    corrected = Row("estimated", EstimatedForwardCorrection(), (0.1, 0.5))
    comparison, results = compare([corrected, PLAIN], noisy, num_steps=100), fresh()
    comparison.search(results, lambda: None)
    (matrix,) = results["estimates"].values()
    np.testing.assert_allclose(np.sum(matrix, axis=1), 1, atol=1e-5)
    assert matrix[0][1] > 0.5
    assert max(matrix[1][0], matrix[2][0], matrix[2][1]) < 0.3
    comparison.run(results, lambda: None)
    on_dev = lambda name: max(results["search"][name].values())
    assert on_dev("estimated") > on_dev("cross entropy")
    # Another process goes on with the same estimate.
    again = compare([corrected, PLAIN], noisy, num_steps=100)
    kept = {**results, "rows": {}}
    again.run(kept, lambda: None)
    assert kept["rows"]["estimated"]["test_error"] == results["rows"]["estimated"]["test_error"]


def test_an_estimate_needs_a_row_of_cross_entropy(compare) -> None:
    with pytest.raises(ValueError, match="Row 'x' is estimated .* add a row with loss"):
        compare([Row("x", EstimatedForwardCorrection(), (0.1,))])
