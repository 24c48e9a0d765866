import csv

import numpy as np
import pytest

from tf_l2t.training.statistics import comma_separated, paired_difference, summary, table


def test_summary_is_mean_and_standard_error() -> None:
    values = [0.01, 0.02, 0.06]
    assert summary(values) == {
        "mean": pytest.approx(0.03),
        "standard_error": pytest.approx(np.std(values, ddof=1) / np.sqrt(3)),
    }
    assert summary([0.5])["standard_error"] is None


def test_the_paired_test_is_that_of_student() -> None:
    # Differences 1, 2, 3: mean 2, standard error 1/√3, t = 2·√3 with 2 degrees of freedom.
    found = paired_difference([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    assert found["mean"] == pytest.approx(2)
    assert found["standard_error"] == pytest.approx(1 / np.sqrt(3))
    t = 2 * np.sqrt(3)
    assert found["p"] == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    half = 4.302653 / np.sqrt(3)
    np.testing.assert_allclose(found["confidence_95"], [2 - half, 2 + half], rtol=1e-6)


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.25]])
def test_without_spread_there_is_no_test(values) -> None:
    found = paired_difference(values, values)
    assert found["mean"] == 0
    assert found["p"] is None


def test_rounding_errors_are_no_spread() -> None:
    ours = [1 - accuracy for accuracy in (0.9913, 0.9790, 0.9835)]
    theirs = [1 - accuracy for accuracy in (0.9900, 0.9777, 0.9822)]
    found = paired_difference(ours, theirs)
    assert found["mean"] == pytest.approx(-0.0013)
    assert found["p"] is None


def results() -> dict:
    row = {
        "test_error": {"mean": 0.01234, "standard_error": 0.0005},
        "dev_error": {"mean": 0.02, "standard_error": None},
        "learning_rate": 0.05,
        "students": {"1": {}, "2": {}},
        "seconds": {"mean": 3.14159, "standard_error": 0.1},
    }
    return {"rows": {"cross entropy": row}}


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_is_markdown_in_percent() -> None:
    lines = table(results()).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert cells_of(lines[2]) == ["cross entropy", "1.23 ± 0.05", "2.00", "0.05", "2", "3.1"]


def test_the_table_has_the_differences_from_the_baseline() -> None:
    compared = results() | {"baseline": "cross entropy"}
    difference = {"mean": -0.002, "standard_error": 0.0004, "confidence_95": [-0.1, 0], "p": 0.0123}
    compared["rows"]["taught"] = compared["rows"]["cross entropy"] | {"difference": difference}
    lines = table(compared).splitlines()
    assert cells_of(lines[0])[3:5] == ["minus cross entropy", "p"]
    assert cells_of(lines[2])[3:5] == ["", ""]
    assert cells_of(lines[3])[3:5] == ["-0.20 ± 0.04", "0.012"]
    records = list(csv.DictReader(comma_separated(compared).splitlines()))
    assert [record["loss"] for record in records] == ["cross entropy", "taught"]
    assert float(records[1]["difference_mean"]) == -0.002
    assert float(records[1]["p"]) == 0.0123
    assert records[0]["p"] == ""
