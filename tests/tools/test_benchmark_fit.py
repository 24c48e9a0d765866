"""tools/benchmark_fit.py measures three ways of fit; no test here compares times."""

import importlib
import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

benchmark_fit = importlib.import_module("benchmark_fit")

SMALL = ["--student", "logistic_regression", "--steps", "6", "--batch", "8", "--repeats", "2"]


def test_it_reports_times_and_ratios(capsys: pytest.CaptureFixture) -> None:
    assert benchmark_fit.main([*SMALL, "--observe_every", "3", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert set(result["seconds"]) == {"cross_entropy", "taught", "taught_one_look"}
    assert result["settings"]["steps"] == 6
    for ratio in result["ratios"].values():
        assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    assert "| taught / cross_entropy |" in captured.err


def test_a_size_of_zero_is_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        benchmark_fit.main(["--steps", "0"])
    assert "give a whole number from 1, not '0'" in capsys.readouterr().err
