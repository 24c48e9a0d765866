import math

import numpy as np
import pytest

from tf_l2t.differentiation import SGD
from tf_l2t.losses import CrossEntropy, DynamicBilinear, LabelSmoothing
from tf_l2t.teachers import fixed_teacher
from tf_l2t.training.estimated import EstimatedForwardCorrection
from tf_l2t.training.rows import Row


@pytest.mark.parametrize("rates", [(), 0.1, (0.1, 0.0), (-1.0,), (math.inf,), (math.nan,)])
def test_rows_need_positive_learning_rates(rates) -> None:
    with pytest.raises(ValueError, match="Row 'x': learning_rates"):
        Row("x", CrossEntropy(), rates)


@pytest.mark.parametrize("loss", [CrossEntropy, None, {"a": CrossEntropy(), "b": "b"}])
def test_a_loss_that_is_none(loss) -> None:
    with pytest.raises(ValueError, match="Row 'x': loss must be a Loss or EstimatedLoss, got .*@N"):
        Row("x", loss, (0.1,))


def test_every_variant_is_tried_at_every_rate() -> None:
    losses = {"a": LabelSmoothing(epsilon=0.1), "b": LabelSmoothing(epsilon=0.2)}
    row = Row("x", losses, (0.1, 0.25))
    assert [trial.name for trial in row.trials] == ["a, 0.1", "a, 0.25", "b, 0.1", "b, 0.25"]
    assert row.variants["b"] == (losses["b"], None)
    plain = Row("x", CrossEntropy(), (0.1,))
    assert [(trial.name, trial.variant) for trial in plain.trials] == [("0.1", "")]
    taught = Row("x", DynamicBilinear(), (0.1,), {"low": fixed_teacher, "high": fixed_teacher})
    assert [trial.variant for trial in taught.trials] == ["low", "high"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trained_on": "test"}, "trained_on must be one of"),
        ({"loss": {}}, "loss is empty"),
        ({"learning_rates": (0.1, 0.2, 0.1)}, "a rate twice"),
        (
            {"loss": EstimatedForwardCorrection(), "teacher": fixed_teacher},
            "takes nothing from a teacher",
        ),
        ({"recipe": SGD}, "recipe must be a Recipe, got .*SGD"),
        ({"teacher": {}}, "teacher is empty"),
        ({"loss": {"a": CrossEntropy()}, "teacher": {"b": fixed_teacher}}, "not both be several"),
    ],
)
def test_rows_that_make_no_sense_are_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=f"Row 'x': .*{message}"):
        Row(**{"name": "x", "loss": CrossEntropy(), "learning_rates": (0.1,), **settings})


def test_the_estimate_is_what_the_student_says_of_each_class() -> None:
    said = [[0.6, 0.4, 0.0], [0.0, 0.0, 0.0], [0.1, 0.1, 0.8]]
    loss = EstimatedForwardCorrection()(np.array(said))
    # No dev image is of class 1.
    expected = [said[0], [0, 1, 0], said[2]]
    np.testing.assert_allclose(loss.transition_matrix, expected, atol=1e-7)


def test_small_entries_of_an_estimate_may_be_left_out() -> None:
    said = [[0.5, 0.45, 0.05], [0.04, 0.94, 0.02], [0.1, 0.0, 0.9]]
    loss = EstimatedForwardCorrection(least=0.1)(np.array(said))
    expected = [[0.5 / 0.95, 0.45 / 0.95, 0], [0, 1, 0], said[2]]
    np.testing.assert_allclose(loss.transition_matrix, expected, atol=1e-7)
    # A class of which nothing is left is taken to keep its labels.
    loss = EstimatedForwardCorrection(least=0.5)(np.array([[0.4, 0.3, 0.3], *said[1:]]))
    np.testing.assert_allclose(loss.transition_matrix, np.eye(3), atol=1e-7)
    with pytest.raises(ValueError, match=r"least must be in \[0, 1\), got 1"):
        EstimatedForwardCorrection(least=1)


def test_an_estimate_leaves_what_it_is_given_and_refuses_what_is_not_finite() -> None:
    said = np.array([[0.5, 0.5], [0.0, 0.0]])
    EstimatedForwardCorrection()(said)
    np.testing.assert_array_equal(said, [[0.5, 0.5], [0.0, 0.0]])
    said[0, 1] = np.nan
    with pytest.raises(ValueError, match=r"mean_probabilities must be finite.*nan.*lower"):
        EstimatedForwardCorrection()(said)
