"""A trained teacher in use: `python -m tf_l2t.teach` and `python -m tf_l2t.compare`."""

import csv
import json
import pathlib
import shutil
from collections.abc import Iterator

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_l2t import compare, teach
from tf_l2t.data import Source, arrays, embedded_mnist
from tf_l2t.losses import DynamicBilinear
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.teacher_record import teacher_record
from tf_l2t.teachers import attention_teacher


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Exports a teacher of Φ, as good as untrained, for the ten digits."""
    loss = DynamicBilinear()
    model = attention_teacher(loss.coefficient_shapes(10), 13)
    theta = [tf.convert_to_tensor(v) for v in model.trainable_variables]
    record = teacher_record(
        loss, embedded_mnist().class_names, observed_examples=100, observe_every=5
    )
    directory = tmp_path_factory.mktemp("taught") / "teacher"
    export_teacher(directory, model, theta, record)
    return directory


def results_of(directory: pathlib.Path) -> dict:
    return json.loads((directory / "results.json").read_text())


def test_students_are_taught_and_saved(command, teacher, tiny_gin, tmp_path) -> None:
    directory = tmp_path / "run"
    arguments = [
        f"--gin_file={tiny_gin}",
        f"--teacher={teacher}",
        f"--run_dir={directory}",
        # Another architecture and another length of training than the teacher's.
        "--gin_bindings=STUDENT = @mlp",
        "--gin_bindings=mlp.hidden = (16,)",
        "--gin_bindings=NUM_STEPS = 30",
    ]
    done = command(teach, *arguments)
    assert done.returncode == 0, done.stderr
    assert "students:" in done.stdout
    results = results_of(directory)
    assert list(results["rows"]) == ["taught"]
    assert results["taught_by"]["path"] == str(teacher)
    students = list(results["rows"]["taught"]["students"].values())
    assert len(students) == 2
    source = embedded_mnist()
    for index, student in enumerate(students):
        path = directory / "students" / f"student-{index}"
        model = keras.models.load_model(path.with_suffix(".keras"))
        logits = model.predict(source.test_images, batch_size=1000, verbose=0)
        accuracy = np.mean(logits.argmax(-1) == source.test_labels)
        assert accuracy == pytest.approx(student["test_accuracy"], abs=2e-4)
        served_model = tf.saved_model.load(str(path))
        served = served_model.serve(source.test_images[:7])
        np.testing.assert_allclose(served, logits[:7], rtol=1e-4, atol=1e-5)
    again = command(teach, *arguments)
    assert "Going on with" in again.stdout
    assert results_of(directory)["rows"] == results["rows"]


def test_every_loss_is_compared(command, teacher, tiny_gin, tmp_path) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}"]
    done = command(compare, *arguments, f"--teacher={teacher}")
    assert done.returncode == 0, done.stderr
    results = results_of(directory)
    assert list(results["rows"]) == ["cross entropy", "bilinear, fixed", "taught"]
    assert results["baseline"] == "cross entropy"
    markdown = (directory / "comparison.md").read_text()
    assert markdown in done.stdout
    assert "minus cross entropy" in markdown
    records = list(csv.DictReader((directory / "comparison.csv").read_text().splitlines()))
    for record in records:
        row = results["rows"][record["loss"]]
        assert float(record["test_error_mean"]) == row["test_error"]["mean"]
        assert float(record["seconds_mean"]) == row["seconds"]["mean"]
    ours, theirs = (
        [s["test_accuracy"] for s in results["rows"][name]["students"].values()]
        for name in ("taught", "cross entropy")
    )
    difference = np.mean(theirs) - np.mean(ours)
    assert float(records[2]["difference_mean"]) == pytest.approx(difference)


def test_without_a_teacher_the_fixed_losses_are_compared(command, tiny_gin, tmp_path) -> None:
    directory = tmp_path / "run"
    done = command(compare, f"--gin_file={tiny_gin}", f"--run_dir={directory}")
    assert done.returncode == 0, done.stderr
    assert list(results_of(directory)["rows"]) == ["cross entropy", "bilinear, fixed"]


def test_another_teacher_is_refused_in_the_same_directory(
    command, teacher, tiny_gin, tmp_path
) -> None:
    directory = tmp_path / "run"
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={directory}"]
    assert command(compare, *arguments, f"--teacher={teacher}").returncode == 0
    before = (directory / "results.json").read_bytes()
    done = command(compare, *arguments)
    assert done.returncode == 2
    assert "taught_by" in done.stderr
    assert (directory / "results.json").read_bytes() == before
    # The same teacher may lie elsewhere.
    moved = shutil.copytree(teacher, tmp_path / "moved")
    done = command(compare, *arguments, f"--teacher={moved}")
    assert done.returncode == 0, done.stderr
    assert results_of(directory)["taught_by"]["path"] == str(moved)


def test_another_command_is_refused_in_the_same_directory(
    command, teacher, tiny_gin, tmp_path
) -> None:
    arguments = [f"--gin_file={tiny_gin}", f"--run_dir={tmp_path / 'run'}", f"--teacher={teacher}"]
    assert command(compare, *arguments).returncode == 0
    done = command(teach, *arguments)
    assert done.returncode == 2
    assert "a run of other command: compare, while here is teach" in done.stderr


@pytest.mark.parametrize("program", [teach, compare])
def test_a_teacher_that_is_not_there_is_refused(command, program, tiny_gin, tmp_path) -> None:
    directory = tmp_path / "run"
    done = command(
        program, f"--gin_file={tiny_gin}", "--teacher=/nowhere", f"--run_dir={directory}"
    )
    assert done.returncode == 2
    assert "/nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not directory.exists()


def test_a_teacher_is_needed_to_teach(command, tiny_gin) -> None:
    done = command(teach, f"--gin_file={tiny_gin}")
    assert done.returncode == 2
    assert "no teacher; give --teacher=" in done.stderr


@pytest.fixture
def three_digits() -> Iterator[None]:
    """A source of three classes that gin files can name."""
    digits = embedded_mnist()
    few = [labels < 3 for labels in (digits.train_labels, digits.test_labels)]

    def make() -> Source:
        return arrays(
            digits.train_images[few[0]],
            digits.train_labels[few[0]],
            digits.test_images[few[1]],
            digits.test_labels[few[1]],
        )

    with gin.unlock_config():
        gin.register("three_digits", module="tests")(make)
    yield
    gin.config._REGISTRY.pop("tests.three_digits")


def test_a_teacher_of_another_number_of_classes_is_refused(
    command, teacher, tiny_gin, tmp_path, three_digits
) -> None:
    directory = tmp_path / "run"
    done = command(
        teach,
        f"--gin_file={tiny_gin}",
        f"--teacher={teacher}",
        f"--run_dir={directory}",
        "--gin_bindings=SOURCE = @three_digits()",
    )
    assert done.returncode == 2
    assert "is for 10 classes" in done.stderr
    assert not directory.exists()


def test_training_makes_its_own_teacher(train_command, teacher, tiny_gin) -> None:
    done = train_command(f"--gin_file={tiny_gin}", f"--teacher={teacher}")
    assert done.returncode == 2
    assert "train makes its own" in done.stderr
