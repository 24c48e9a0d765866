import json
import math

import pytest

from tf_l2t.training.trust_region import TrustRegion


def accepted(region: TrustRegion, *norms: float) -> TrustRegion:
    for norm in norms:
        region.accept([norm], [0.9])
    return region


@pytest.mark.parametrize(
    ("norm", "amplification"),
    [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)],
)
def test_what_is_not_finite_is_refused(norm: float, amplification: float) -> None:
    assert "not finite" in (TrustRegion().reason_to_refuse(norm, amplification, 0.9) or "")


def test_norms_far_beyond_the_median_are_refused_and_named() -> None:
    region = accepted(TrustRegion(refuse_factor=10.0), 1.0, 1.5, 2.0)
    assert region.reason_to_refuse(14.9, 1.0, 0.9) is None
    assert "norm 15.1 is beyond 10 times the usual 1.5" in str(
        region.reason_to_refuse(15.1, 1.0, 0.9)
    )


def test_a_norm_of_0_makes_nothing_after_it_an_outlier() -> None:
    region = accepted(TrustRegion(), 0.0, 0.0)
    assert region.reason_to_refuse(0.0, 0.0, 0.9) is None
    assert region.reason_to_refuse(0.1, 1.0, 0.9) is None
    assert region.clip(0.1) == 1.0


def test_amplified_adjoints_are_refused_before_any_norm_is_known() -> None:
    region = TrustRegion(max_amplification=100.0)
    assert region.reason_to_refuse(1.0, 99.0, 0.9) is None
    assert "1e+03" in str(region.reason_to_refuse(1.0, 1000.0, 0.9))


def test_a_student_that_fails_on_dev_is_refused() -> None:
    region = accepted(TrustRegion(max_score_drop=0.1), 1.0, 1.0)
    assert region.reason_to_refuse(1.0, 1.0, 0.81) is None
    assert "0.79 is more than 0.1 below the usual 0.9" in str(
        region.reason_to_refuse(1.0, 1.0, 0.79)
    )


def test_clip_brings_a_norm_to_a_multiple_of_the_median() -> None:
    region = TrustRegion(clip_factor=2.0)
    assert region.clip(1e9) == 1.0
    accepted(region, 1.0, 1.0, 1.0)
    assert region.clip(1.9) == 1.0
    assert region.clip(8.0) * 8.0 == pytest.approx(2.0)


def test_scale_halves_at_a_refusal_and_grows_again_after_a_run_of_good_steps() -> None:
    region = TrustRegion(regrow_after=3)
    region.refuse()
    region.refuse()
    assert region.scale == 0.25
    accepted(region, 1.0, 1.0)
    assert region.scale == 0.25
    accepted(region, 1.0)
    assert region.scale == 0.5
    accepted(region, *[1.0] * 30)
    assert region.scale == 1.0


def test_too_many_refusals_in_a_row_exhaust_it_and_a_good_step_starts_the_count_anew() -> None:
    region = TrustRegion(max_refused_in_a_row=3)
    for _ in range(2):
        region.refuse()
    accepted(region, 1.0)
    assert not region.exhausted
    for _ in range(3):
        region.refuse()
    assert region.exhausted
    assert region.refused == 5


def test_only_the_last_norms_are_remembered() -> None:
    region = accepted(TrustRegion(memory=3), 1e6, 1e6, 1.0, 1.0, 1.0)
    assert region.norms == [1.0, 1.0, 1.0]


def test_state_goes_through_json() -> None:
    region = accepted(TrustRegion(), 1.0, 2.0)
    region.refuse()
    restored = TrustRegion()
    restored.restore(json.loads(json.dumps(region.state())))
    assert restored == region


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"clip_factor": 0.5}, "clip_factor=0.5"),
        ({"refuse_factor": 1.0}, "refuse_factor=1.0"),
        ({"regrow_after": 0}, "regrow_after"),
        ({"max_refused_in_a_row": 0}, "max_refused_in_a_row"),
        ({"memory": 0}, "memory"),
        ({"max_amplification": 0.0}, "max_amplification"),
        ({"max_score_drop": -1.0}, "max_score_drop"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TrustRegion(**arguments)
