"""Translation by command: its configurations build, and a run goes from text to text."""

import gzip
import json
import pathlib
import re
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf
from numbers_in_words import BagTranslator, pairs

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))

import tables

from tf_l2t import compare, experiment, teach, translate
from tf_l2t.gin_files import register_gin_files
from tf_l2t.runtime.loaded_teacher import load_teacher

gin.external_configurable(BagTranslator, name="bag_translator", module="tests_translation")
GIN = pathlib.Path(__file__).parents[2] / "gin"
FILES = [
    "lstm1_multi30k",
    *(f"paper/{path.stem}" for path in sorted(GIN.glob("paper/*iwslt14.gin"))),
]
SMALL = """
lstm_translator.embedding = 4
lstm_translator.units = 4
transformer_translator.layers = 1
transformer_translator.width = 8
transformer_translator.hidden = 8
transformer_translator.heads = 2
word_vocabularies.min_count = 1
subword_vocabularies.vocabulary_size = 20
"""
RUN = """
include "gin/base/translation.gin"
NAME = "numbers"
TEXT = @aligned_files()
STUDENT = @bag_translator
NUM_STEPS = 30
Translation.vocabularies = @word_vocabularies
Translation.batch_size = 10
Translation.observed_examples = 5
Budget.observe_every = 10
TeacherSchedule.num_steps = 2
TeacherSchedule.selection_students = 1
Experiment.test_seeds = 2
Experiment.learning_rates = (0.05,)
cross_entropy/Row.learning_rates = (0.05,)
minimum_risk/Row.learning_rates = (0.05,)
MinimumRisk.num_candidates = 2
Experiment.rows = [@cross_entropy/Row(), @minimum_risk/Row()]
"""
CRITIC = """
NUM_STEPS = 8
Budget.observe_every = 4
Experiment.rows = [@cross_entropy/Row(), @actor_critic/Row()]
Experiment.test_seeds = 1
Experiment.search_seeds = 1
actor_critic/Row.learning_rates = (0.05,)
ActorCritic.num_candidates = 2
ActorCritic.critic_steps = 2
ActorCritic.critic_embedding = 3
ActorCritic.critic_units = 3
"""
WARM = """
NUM_STEPS = 20
Budget.warm_start_steps = 10
Experiment.rows = [@cross_entropy/Row()]
"""
COMPARE_WITH_BAGS = f"""
import sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import gin
from numbers_in_words import BagTranslator
gin.external_configurable(BagTranslator, name="bag_translator", module="tests_translation")
from tf_l2t import compare
from tf_l2t.entry import start
start(compare.main)
"""


@pytest.fixture(scope="module")
def text_gin(tmp_path_factory) -> str:
    """Bindings of `aligned_files` to files of numbers in words."""
    folder = tmp_path_factory.mktemp("numbers")
    lines = []
    for seed, (split, count) in enumerate([("train", 60), ("dev", 10), ("test", 10)]):
        files = [folder / f"{split}.{language}.gz" for language in ("de", "en")]
        for file, sentences in zip(files, pairs(count, seed), strict=True):
            file.write_bytes(gzip.compress("".join(f"{line}\n" for line in sentences).encode()))
        lines.append(f"aligned_files.{split} = {tuple(map(str, files))}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", FILES)
def test_every_configuration_builds(name, text_gin) -> None:
    register_gin_files()
    gin.clear_config()
    gin.parse_config_file(f"gin/{name}.gin")
    gin.parse_config(SMALL + text_gin)
    source = "moses.text" if "iwslt14" in name else "TEXT"
    gin.parse_config(f"{source} = @aligned_files()")
    built = experiment.Experiment()
    gin.clear_config()
    assert built.name == name.replace("/", "_")
    assert built._task.describe()["languages"] == ["de", "en"]


@pytest.mark.parametrize("student", ["lstm1", "transformer"])
def test_the_runs_of_table_3_build(student, text_gin) -> None:
    runs = [run for run in tables.TABLES["3"].runs if run.rows == f"{student}_multi30k"]
    *compared, taught = runs
    register_gin_files()
    gin.clear_config()
    (file,) = {run.gin_file for run in runs}
    gin.parse_config_file(file)
    assert gin.query_parameter("Experiment.rows") == []
    # Together, which takes a seventh of the time.
    rows = ", ".join(re.search(r"\[(.*)\]", run.bindings[0])[1] for run in compared)
    more = {binding for run in compared for binding in run.bindings[1:]}
    gin.parse_config([f"Experiment.rows = [{rows}]", "TEXT = @aligned_files()", *more])
    gin.parse_config(taught.bindings)
    gin.parse_config([*SMALL.splitlines(), *text_gin.splitlines()])
    built = experiment.Experiment()
    gin.clear_config()
    assert built.name == f"table3_{student}_multi30k"
    assert len(built._rows) == 7
    assert {len(row.trials) for row in [*built._rows, built._taught]} == {3}
    assert built._budget.num_steps - built._budget.warm_start_steps == 400


def test_there_are_configurations() -> None:
    assert sorted(FILES) == [
        "lstm1_multi30k",
        "paper/lstm1_iwslt14",
        "paper/lstm2_iwslt14",
        "paper/transformer_iwslt14",
    ]


def test_from_text_to_text(command, train_command, text_gin, tmp_path, monkeypatch) -> None:
    file = tmp_path / "numbers.gin"
    file.write_text(RUN + text_gin)
    run = tmp_path / "run"
    trained = train_command(f"--gin_file={file}", f"--run_dir={run}")
    assert trained.returncode == 0, trained.stderr
    assert "test BLEU %" in trained.stdout
    results = json.loads((run / "results.json").read_text())
    assert results["status"] == "complete"
    assert results["score"] == "BLEU"
    for row in results["rows"].values():
        assert 0 <= row["test_bleu"]["mean"] <= 1
        for student in row["students"].values():
            assert student["test_cross_entropy"] > 0
            assert len(student["observed_dev_bleu"]) == 3
    drawn = {path.name for path in (run / "figures").iterdir()}
    assert drawn == {"dev_measure.png", "test_bleu.png", "training_loss.png", "learning_curves.png"}

    again = train_command(f"--gin_file={file}", f"--run_dir={run}")
    assert again.returncode == 0
    assert json.loads((run / "results.json").read_text())["rows"] == results["rows"]

    teacher = load_teacher(run / "teacher")
    assert teacher.feature_names == ("t / T", "training BLEU", "dev BLEU")
    assert teacher(tf.zeros([1, 3]))["phi"].shape == [1, teacher.num_classes]
    assert {"one", "two", "three"} < set(teacher.class_names)

    arguments = [f"--teacher={run / 'teacher'}", f"--gin_file={file}"]
    compared = command(compare, *arguments, f"--run_dir={tmp_path / 'compared'}")
    assert compared.returncode == 0, compared.stderr
    taught = command(teach, *arguments, f"--run_dir={tmp_path / 'taught'}")
    assert taught.returncode == 0, taught.stderr
    students = tmp_path / "taught" / "students"
    assert {path.name for path in students.iterdir()} == {"student-0", "student-1"}
    (found,) = translate.load(students / "student-0")(["eins zwei"])
    assert set(found.split()) <= {"one", "two", "three", "<unk>"}


def test_commands_share_warm_starts(command, text_gin, tmp_path) -> None:
    file, warm = tmp_path / "numbers.gin", tmp_path / "warm"
    file.write_text(RUN + text_gin + WARM)
    kept = [f"--warm_starts={warm}"]

    def rows(name: str, *more: str) -> dict:
        run = tmp_path / name
        done = command(compare, f"--gin_file={file}", f"--run_dir={run}", *more)
        assert done.returncode == 0, done.stderr
        return json.loads((run / "results.json").read_text())["rows"]["cross entropy"]["students"]

    losses = lambda students: [student["training_loss"] for student in students.values()]
    alone, first = rows("alone"), rows("first", *kept)
    made = {path.name: path.stat().st_mtime_ns for path in warm.glob("*.npz")}
    # Of one student of the search and two of the table.
    assert len(made) == 3
    # A process of its own, whose numbers lie elsewhere in memory.
    arguments = [f"--gin_file={file}", f"--run_dir={tmp_path / 'second'}", *kept]
    second = subprocess.run(
        [sys.executable, "-c", COMPARE_WITH_BAGS, *arguments], capture_output=True, text=True
    )
    assert second.returncode == 0, second.stderr
    found = json.loads((tmp_path / "second" / "results.json").read_text())
    assert losses(found["rows"]["cross entropy"]["students"]) == losses(first) == losses(alone)
    assert {f"{name}.npz" for name in found["warm_starts"]} == {*made}
    assert {*next(iter(found["warm_starts"].values()))} == {"seconds", "hardware"}
    assert {path.name: path.stat().st_mtime_ns for path in warm.glob("*.npz")} == made


def test_a_damaged_warm_start_ends_the_command(command, text_gin, tmp_path) -> None:
    file, warm = tmp_path / "numbers.gin", tmp_path / "warm"
    file.write_text(RUN + text_gin + WARM)
    arguments = [f"--gin_file={file}", f"--run_dir={tmp_path / 'run'}", f"--warm_starts={warm}"]
    arguments.append("--gin_bindings=Experiment.test_seeds = 1")
    assert command(compare, *arguments).returncode == 0
    for path in warm.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    done = command(compare, *arguments, "--overwrite")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert "remove it" in done.stderr


def test_a_critic_is_compared(command, text_gin, tmp_path) -> None:
    file, run = tmp_path / "numbers.gin", tmp_path / "run"
    file.write_text(RUN + text_gin + CRITIC)
    compared = command(compare, f"--gin_file={file}", f"--run_dir={run}")
    assert compared.returncode == 0, compared.stderr
    rows = json.loads((run / "results.json").read_text())["rows"]
    assert set(rows) == {"cross entropy", "actor-critic"}
    ((seed, student),) = rows["actor-critic"]["students"].items()
    of_words = rows["cross entropy"]["students"][seed]["training_loss"]
    assert len(student["training_loss"]) == len(of_words) == 2
    assert np.all(np.isfinite(student["training_loss"]))
    assert student["training_loss"] != of_words
