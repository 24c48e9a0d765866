"""A configuration that is damaged in any way ends in a sentence and exit code 2, and no work."""

import pathlib
import random
import shutil

import pytest

from tf_l2t.experiment import Experiment


@pytest.fixture
def refused(tmp_path: pathlib.Path, train_command, monkeypatch):
    """Runs a command that must not get to work unless its configuration is whole."""
    done = {"status": "complete", "table": ""}
    monkeypatch.setattr(Experiment, "train", lambda experiment, directory: done)

    def run(content: bytes | str, *flags: str, allow_whole: bool = False) -> str:
        path, directory = tmp_path / "some.gin", tmp_path / "run"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        finished = train_command(f"--gin_file={path}", f"--run_dir={directory}", *flags)
        assert "Traceback" not in finished.stderr
        if allow_whole and finished.returncode == 0:
            shutil.rmtree(directory)
            return ""
        assert finished.returncode == 2, finished.stderr
        assert finished.stderr.startswith("tf_l2t.train: ")
        assert not directory.exists()
        return finished.stderr

    return run


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "Experiment"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        ("NAME = 'é'".encode("latin-1"), "is not text in UTF-8"),
        (b"\0", "some.gin"),
        ("NAME = (", "some.gin"),
        ("NAME = '''", "some.gin"),
        ("NAME = 1 / 0", "some.gin"),
        ("  = 3", "some.gin"),
        ("include 'nowhere.gin'", "nowhere.gin"),
        ("include 'gin'", "gin"),
        ("include", "some.gin"),
        ("import no_such_module_of_anyone", "no_such_module_of_anyone"),
        ("NAME = @nobody()", "nobody"),
        ("NAME = " + "(" * 2000, "some.gin"),
        ("include 'some.gin'\n", "some.gin"),
    ],
)
def test_content_that_cannot_be_a_configuration(content, named, refused, monkeypatch) -> None:
    assert named in refused(content)


def test_files_that_include_each_other(refused, tmp_path) -> None:
    other = tmp_path / "other.gin"
    other.write_text(f"include '{tmp_path / 'some.gin'}'\n")
    assert "include each other" in refused(f"include '{other}'\n")


def test_a_directory_for_a_file(refused, tmp_path) -> None:
    assert str(tmp_path) in refused("", f"--gin_file={tmp_path}")


@pytest.mark.parametrize(
    "binding",
    [
        "Budget.num_steps = 'many'",
        "Budget.num_steps = None",
        "Budget.num_steps = -1e400",
        "Budget.num_steps = 10" + "0" * 5000,
        "Budget.observe_every = [1]",
        "Budget.warm_start_learning_rate = 'x'",
        "Budget.warm_start_learning_rate = {}",
        "Classification.batch_size = 'x'",
        "Classification.batch_size = 10" + "0" * 30,
        "Classification.dev_size = None",
        "Experiment.learning_rates = 3",
        "Experiment.learning_rates = ('a', 'b')",
        "Experiment.rows = 7",
        "Experiment.rows = [1]",
        "Experiment.seed = 'x'",
        "Experiment.name = None",
        "Experiment.name = 3",
        "TeacherSchedule.num_steps = (1,)",
        "attention_teacher.num_keys = -3",
        "attention_teacher.num_keys = 'x'",
        "STUDENT = 5",
        "SOURCE = 'mnist'",
        "SOURCE = @tfds_images()",
    ],
)
def test_values_of_the_wrong_kind(binding, tiny_gin, refused) -> None:
    refused(tiny_gin.read_text(), f"--gin_bindings={binding}")


def test_any_bytes(refused) -> None:
    draw = random.Random(0)
    for _ in range(25):
        refused(draw.randbytes(draw.randrange(80)))


def test_a_configuration_cut_anywhere(tiny_gin, refused) -> None:
    whole = tiny_gin.read_bytes()
    for length in random.Random(1).sample(range(len(whole)), 15):
        refused(whole[:length], allow_whole=True)


def test_a_configuration_with_one_wrong_byte(tiny_gin, refused) -> None:
    draw = random.Random(2)
    for _ in range(15):
        content = bytearray(tiny_gin.read_bytes())
        content[draw.randrange(len(content))] = draw.randrange(256)
        refused(bytes(content), allow_whole=True)
