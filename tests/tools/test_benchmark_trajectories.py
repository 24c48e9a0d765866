"""What tools/benchmark_trajectories.py computes is what a trajectory then holds."""

import functools
import importlib
import pathlib
import sys

import gin
import pytest

from tf_l2t import students

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

benchmark_trajectories = importlib.import_module("benchmark_trajectories")

SMALL = """
include "gin/resnet8_cifar10.gin"
NAME = "small"
STUDENT = @resnet
resnet.channels = 1
Budget.observe_every = 2
NUM_STEPS = 7
"""


SMALL_TRANSLATOR = """
include "gin/base/translation.gin"
NAME = "small"
TEXT = @multi30k()
STUDENT = @lstm_translator
NUM_STEPS = 900
lstm_translator.embedding = 2
lstm_translator.units = 1
Budget.observe_every = 2
Budget.warm_start_steps = 200
"""


@pytest.fixture(autouse=True)
def _no_configuration():
    yield
    benchmark_trajectories.gin.clear_config()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_tables(tmp_path, capsys):
    file = tmp_path / "small.gin"
    file.write_text(SMALL)
    options = ["--measure", str(file), "--steps", "3", "--batch", "2", "--memory", "1"]
    assert benchmark_trajectories.main([str(file), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    name, weights, segment, step, steps, *_, longest, _, any_steps = cells(lines[2])
    assert (name, segment, step, steps, any_steps) == ("small", "2", "0.00 MB", "7", "any")
    bytes_a_step = 4 * int(weights.replace(",", ""))
    measured = [cells(line) for line in lines[6:]]
    assert [row[1] for row in measured] == ["memory", "host", "disk", "recompute"]
    assert all(held == planned for *_, held, planned in measured)
    hundred = tmp_path / "hundred.gin"
    hundred.write_text(SMALL.replace("cifar10", "cifar100"))
    assert benchmark_trajectories.main([str(hundred)]) == 0
    more = int(cells(capsys.readouterr().out.splitlines()[2])[1].replace(",", ""))
    # The last layer has four channels, and a bias.
    assert more == int(weights.replace(",", "")) + 90 * 5
    held = int(measured[0][3].replace(",", ""))
    # Weights and moving statistics, which are fewer.
    assert 3 * bytes_a_step < held < 6 * bytes_a_step
    assert int(longest.replace(",", "")) == 2**30 // (held // 3) - 2


def translator(tmp_path: pathlib.Path, *lines: str) -> str:
    """Writes a configuration of a small translator and returns its path."""
    file = tmp_path / "small.gin"
    file.write_text("\n".join([SMALL_TRANSLATOR, *lines]))
    return str(file)


@pytest.mark.parametrize(
    ("lines", "options", "sizes"),
    [
        (["subword_vocabularies.vocabulary_size = 30"], [], (30, 30)),
        (["subword_vocabularies.vocabulary_size = 30"], ["--vocabulary", "50"], (30, 30)),
        ([], [], (8000, 8000)),
        (["Translation.vocabularies = @word_vocabularies"], ["--vocabulary", "50,40"], (50, 40)),
        (["Translation.vocabularies = @word_vocabularies"], ["--vocabulary", "50"], (50, 50)),
    ],
)
def test_a_translator(lines, options, sizes, tmp_path, capsys):
    """Its words are those of the configuration, else of the options; Adam stores its moments."""
    file = translator(tmp_path, *lines, "Experiment.truncate = 600")
    assert benchmark_trajectories.main([file, *options]) == 0
    _, weights, segment, a_step, steps, memory, *_ = cells(capsys.readouterr().out.splitlines()[2])
    of_words = 2 * sizes[0] + (2 + 1 + 1) * sizes[1]
    student = benchmark_trajectories.TranslationStudent(
        functools.partial(students.lstm_translator, embedding=2, units=1), 5, 5
    )
    count = student.num_weights + of_words - 2 * 5 - 4 * 5
    assert (weights, segment, steps) == (f"{count:,}", "2", "900, last 600")
    assert a_step == f"{3 * 4 * count / 1e6:,.2f} MB"
    # The trajectory, and once more the segment that is under way.
    assert memory == f"{(600 + 2) * 3 * 4 * count / 1e9:,.2f} GB"


def test_sgd_stores_no_velocity_of_a_translator(tmp_path, capsys):
    rule = ["Recipe.update_rule = @tf_l2t.SGD", "tf_l2t.SGD.momentum = 0.9"]
    assert benchmark_trajectories.main([translator(tmp_path, *rule)]) == 0
    _, weights, _, a_step, steps, *_ = cells(capsys.readouterr().out.splitlines()[2])
    assert a_step == f"{4 * int(weights.replace(',', '')) / 1e6:,.2f} MB"
    assert steps == "900, last 700"


def test_what_a_translator_holds(tmp_path, capsys, bag_student):
    gin.external_configurable(
        getattr(students, bag_student), name="bag_of_words", module="tests_trajectories"
    )
    lines = ["STUDENT = @bag_of_words", "subword_vocabularies.vocabulary_size = 30"]
    options = ["--measure", translator(tmp_path, *lines), "--steps", "3", "--batch", "4"]
    assert benchmark_trajectories.main([translator(tmp_path, *lines), *options]) == 0
    table = capsys.readouterr().out.splitlines()[4:]
    measured = [cells(line) for line in table[2:]]
    assert [row[1] for row in measured] == ["memory", "host", "disk", "recompute"]
    assert all(held == planned for *_, held, planned in measured)
    # Weights and both moments of Adam, 2·30·6 + 7·30 each.
    assert measured[0][3] == f"{3 * 3 * 4 * 570:,}"


def test_words_that_are_counted_in_the_text(tmp_path, capsys):
    file = translator(tmp_path, "Translation.vocabularies = @word_vocabularies")
    assert benchmark_trajectories.main([file]) == 2
    assert "give --vocabulary SOURCE,TARGET, such as 32009,22822." in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys):
    assert benchmark_trajectories.main(["gin/nowhere.gin"]) == 2
    assert "nowhere.gin" in capsys.readouterr().err
