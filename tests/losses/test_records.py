import pytest

from tf_l2t.losses import (
    CrossEntropy,
    DynamicBilinear,
    Loss,
    PerToken,
    loss_from_record,
    loss_record,
)


class Outside(Loss):
    """A loss that does not keep its argument."""

    def __init__(self, lost=1):
        pass

    def __call__(self, outputs, targets, coefficients):
        raise AssertionError


def test_a_loss_within_a_loss():
    record = loss_record(PerToken(DynamicBilinear(bias=True)))
    assert record == {
        "class": "PerToken",
        "arguments": {"loss": {"class": "DynamicBilinear", "arguments": {"bias": True}}},
    }
    loss = loss_from_record(record)
    assert isinstance(loss, PerToken)
    assert isinstance(loss.loss, DynamicBilinear)
    assert loss.loss.bias


def test_a_loss_from_outside_is_described_without_its_arguments():
    assert loss_record(Outside()) == {"class": "Outside", "arguments": {}}
    assert loss_record(PerToken(Outside())) == {"class": "PerToken", "arguments": {}}


def test_a_namesake_is_from_outside():
    class CrossEntropy(Outside):
        pass

    assert loss_record(CrossEntropy()) == {"class": "CrossEntropy", "arguments": {}}


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        ({"class": "os.system", "arguments": {}}, ValueError, "there is no loss 'os.system'; give"),
        (
            {"class": "PerToken", "arguments": {"loss": {"class": "x", "arguments": {}}}},
            ValueError,
            "there is no loss 'x'; give one of ActorCritic, ",
        ),
        ({"class": "PerToken", "arguments": {"loss": "x"}}, ValueError, "loss must be a Loss"),
        ({"class": "CrossEntropy", "arguments": {"evil": 1}}, TypeError, "evil|arguments"),
    ],
)
def test_what_is_no_loss_is_refused(record, error, message):
    with pytest.raises(error, match=message):
        loss_from_record(record)


def test_a_record_is_read_as_it_was_written():
    assert isinstance(loss_from_record(loss_record(CrossEntropy())), CrossEntropy)
