"""tools/benchmark_translation.py measures what it says it does; no test here compares times."""

import importlib
import json
import pathlib
import sys

import pytest

from tf_l2t import translate

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

benchmark_translation = importlib.import_module("benchmark_translation")

TRUNCATED = ["truncation", "--steps=12", "--truncate=3,6", "--segment_length=3", "--batch=8"]


def measured(capsys: pytest.CaptureFixture, *options: str) -> tuple[dict, str]:
    """Returns the JSON object and the table."""
    assert benchmark_translation.main([*options, "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_search(bag_student, text_directory, capsys):
    options = ["--text", text_directory, "--vocabulary=18", "--sentences=12", "--batch=5"]
    result, table = measured(
        capsys, "search", "--student", bag_student, *options, "--beams=3,1", "--repeats=2"
    )
    assert result["settings"]["sentences"] == 12
    assert 1 <= result["source_words_a_sentence"] <= 6
    assert set(result["ways"]) == {"beam of 3", "greedy"}
    for way in result["ways"].values():
        seconds, rate = way["seconds"], way["sentences_per_second"]
        assert 0 < seconds["min"] <= seconds["median"] <= seconds["max"]
        assert rate["max"] == pytest.approx(12 / seconds["min"])
        assert way["written_words_a_sentence"] > 0
    assert f"{bag_student}, untrained; 12 sentences of multi30k" in table
    assert "| greedy " in table


def test_search_of_an_exported_student(monkeypatch, text_directory, capsys, tmp_path):
    """It is read as `python -m tf_l2t.translate` reads it, and given all sentences."""
    seen = []

    def load(directory: pathlib.Path):
        assert directory == tmp_path
        return lambda sentences: seen.extend(sentences) or ["two words"] * len(sentences)

    monkeypatch.setattr(translate, "load", load)
    options = ["--student_dir", str(tmp_path), "--text", text_directory, "--sentences=12"]
    result, table = measured(capsys, "search", *options, "--repeats=1")
    assert len(seen[12:]) == 12
    (way,) = result["ways"].values()
    assert way["written_words_a_sentence"] == 2
    assert str(tmp_path) in table
    assert "untrained" not in table


@pytest.mark.parametrize("warm_start", [0, 4])
def test_truncation(warm_start, bag_student, text_directory, capsys):
    text = ["--text", text_directory, "--vocabulary=18", "--dev_examples=10"]
    result, table = measured(
        capsys, *TRUNCATED, "--student", bag_student, *text, f"--warm_start={warm_start}"
    )
    rows = result["truncations"]
    assert [row["steps"] for row in rows] == [3, 6, 12]
    assert result["hypergradient_norm"] > 0
    assert rows[-1]["cosine"] == pytest.approx(1)
    assert rows[-1]["norm_ratio"] == 1
    for row in rows[:-1]:
        assert -1 <= row["cosine"] < 1
        assert row["norm_ratio"] > 0
        assert row["reverse_seconds"] > 0
    assert rows[0]["cosine"] != rows[1]["cosine"]
    # A student's first steps under Adam are large: without a warm start much lies in them.
    assert len({row["amplification"] for row in rows}) == 3
    assert "| 12, all " in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["search", "--beams", "5,0"], "argument --beams: give a whole number from 1, not '0'"),
        (["search", "--student_dir", "x"], "--student_dir needs real sentences; give --text DIR"),
        (
            ["search", "--student_dir", "x", "--text", "y", "--beams", "2"],
            "--beams is that of the export with --student_dir; leave it out",
        ),
        (["search", "--student", "lenet"], "invalid choice: 'lenet'"),
        (["search", "--seed", "-1"], "--seed must be from 0, got -1"),
        (["truncation", "--warm_start", "-1"], "--warm_start must be from 0, got -1"),
        (
            ["truncation", "--truncate", "15"],
            "--truncate 15 must leave a multiple of --segment_length 10 of the 160 steps",
        ),
        (["truncation", "--truncate", "160"], "--truncate 160 must leave a multiple of"),
        (["truncation", "--text", "nowhere"], "nowhere"),
        ([], "the following arguments are required: mode"),
    ],
)
def test_senseless_options(options, message, capsys):
    try:
        code = benchmark_translation.main(options)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_what_is_not_there(text_directory, tmp_path, capsys):
    text = ["--text", text_directory]
    assert benchmark_translation.main(["search", *text, "--sentences=13"]) == 2
    assert "--sentences is 13, and multi30k has 12 test sentences" in capsys.readouterr().err
    missing = ["--student_dir", str(tmp_path / "none"), "--sentences=12"]
    assert benchmark_translation.main(["search", *text, *missing]) == 2
    assert "none is no exported student" in capsys.readouterr().err
