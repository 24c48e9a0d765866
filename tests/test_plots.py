import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from tf_l2t.plots import __main__ as command
from tf_l2t.plots import write_figures
from tf_l2t.plots.loss_surface import bilinear_loss

STEP = {"measure": 0.5, "score": 0.6, "selection": None, "taken": True}
STUDENT = {
    "dev_accuracy": 0.9,
    "test_accuracy": 0.9,
    "segment_starts": [0, 10],
    "training_loss": [1.0, None],
    "observed_dev_accuracy": [0.1, 0.8],
}
OF_RESULTS = {"dev_measure.png", "test_error.png", "training_loss.png", "learning_curves.png"}
OF_PHI = {"phi.png", "phi_of_classes.png", "loss_surface.png"}


def results(classes: int) -> dict:
    return {
        "data": {"class_names": [f"name {k}" for k in range(classes)]},
        "teacher": {
            "steps": [{**STEP, "step": 0, "selection": 0.7}, {**STEP, "step": 1, "taken": False}],
            "last_selection": 0.8,
        },
        "rows": {
            "fixed": {"students": {"1": STUDENT}},
            "taught": {"students": {"1": STUDENT, "2": {**STUDENT, "test_accuracy": 0.4}}},
        },
    }


def write_run(directory, classes: int = 3, times: int = 5, **told: np.ndarray) -> None:
    (directory / "results.json").write_text(json.dumps(results(classes)))
    phi = np.random.default_rng(0).normal(size=(times, classes, classes))
    vectors = np.zeros((times, 3 + classes))
    steps = np.arange(times) * 10
    values = {"phi": phi, **told}
    np.savez(directory / "coefficients.npz", steps=steps, state_vectors=vectors, **values)
    write_teacher(directory / "teacher")


def write_teacher(directory) -> str:
    """Writes what the figures read of a teacher, and returns its digest."""
    directory.mkdir(exist_ok=True)
    record = json.dumps({"loss": {"class": "DynamicBilinear", "arguments": {}}}).encode()
    (directory / "teacher.json").write_bytes(record)
    return hashlib.sha256(record).hexdigest()


def names_of(paths) -> set[str]:
    for path in paths:
        assert image.imread(path).std() > 0.01, path
    return {path.name for path in paths}


@pytest.mark.parametrize(("classes", "times"), [(3, 5), (2, 5), (30, 5), (3, 1)])
def test_figures_are_made_from_the_directory_alone(classes, times, tmp_path) -> None:
    write_run(tmp_path, classes, times, bias=np.zeros(times))
    paths = write_figures(tmp_path)
    assert names_of(paths) == OF_RESULTS | OF_PHI
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("classes", [3, 30])
def test_wrong_labels_are_drawn_beside_what_was_learned(classes, tmp_path) -> None:
    write_run(tmp_path, classes)
    wrong = results(classes)
    matrix = 0.6 * np.eye(classes) + 0.4 * np.roll(np.eye(classes), 1, axis=1)
    wrong["data"]["corruption"] = {"wrong_labels": 0.4, "labels_of_class": matrix.tolist()}
    (tmp_path / "results.json").write_text(json.dumps(wrong))
    assert names_of(write_figures(tmp_path)) == OF_RESULTS | OF_PHI | {"noise.png"}


def test_the_loss_is_that_of_the_teacher_that_taught(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run")
    digest = write_teacher(tmp_path / "teacher")

    def of(**taught_by) -> set[str]:
        taught = results(3) | {"taught_by": {"path": str(tmp_path / "teacher"), **taught_by}}
        (tmp_path / "run" / "results.json").write_text(json.dumps(taught))
        return names_of(write_figures(tmp_path / "run")) - OF_RESULTS

    assert of(sha256=digest) == OF_PHI
    # Another lies there now, or none: what Φ means is not known.
    assert of(sha256="of another") == OF_PHI - {"loss_surface.png"}
    assert of(sha256=digest, path=str(tmp_path / "nowhere")) == OF_PHI - {"loss_surface.png"}


def test_what_is_not_there_yet_is_left_out(tmp_path) -> None:
    empty = results(3) | {"teacher": {}, "rows": {"taught": {"students": {}}}}
    (tmp_path / "results.json").write_text(json.dumps(empty))
    assert write_figures(tmp_path) == []


def test_curves_that_an_earlier_version_did_not_write_are_left_out(tmp_path) -> None:
    old = results(3)
    for row in old["rows"].values():
        row["students"] = {
            seed: {k: v for k, v in student.items() if not k.startswith("observed")}
            for seed, student in row["students"].items()
        }
    (tmp_path / "results.json").write_text(json.dumps(old))
    assert names_of(write_figures(tmp_path)) == OF_RESULTS - {"learning_curves.png"}


@pytest.mark.parametrize("shape", [(5, 4), (5,), (5, 2, 3, 4), (5, 1, 1)])
def test_coefficients_of_another_shape_have_no_matrix_to_draw(shape, tmp_path) -> None:
    write_run(tmp_path, phi=np.ones(shape))
    assert names_of(write_figures(tmp_path)) == OF_RESULTS


def test_the_surface_is_that_of_the_bilinear_loss_alone(tmp_path) -> None:
    write_run(tmp_path)
    (tmp_path / "teacher" / "teacher.json").write_text('{"loss": {"class": "Another"}}')
    assert names_of(write_figures(tmp_path)) == OF_RESULTS | OF_PHI - {"loss_surface.png"}


def test_the_drawn_loss_is_that_of_the_paper() -> None:
    phi = np.array([[0.5, -0.1, 0.2, 0.3]])
    p = np.array([0.4, 0.3, 0.15, 0.15])
    expected = -1 / (1 + np.exp(-(phi[0] @ np.log(p) + 0.7)))
    found = bilinear_loss(phi[0], 0.7, 0, 1, np.array(0.4), np.array(0.3))
    assert found == pytest.approx(expected)


def test_the_command_draws_the_chosen_pairs(tmp_path, capsys) -> None:
    write_run(tmp_path, 12)
    assert command.main([str(tmp_path)]) == 0
    drawn = (tmp_path / "figures" / "phi_of_classes.png").read_bytes()
    assert command.main([str(tmp_path), "--pairs", "11,3", "0,5"]) == 0
    assert (tmp_path / "figures" / "phi_of_classes.png").read_bytes() != drawn
    assert "phi_of_classes.png" in capsys.readouterr().out
    # By their names, and against two classes instead of those that are largest and smallest.
    by_number = (tmp_path / "figures" / "phi_of_classes.png").read_bytes()
    assert command.main([str(tmp_path), "--pairs", "name 11,name 3", "name 0,5"]) == 0
    assert (tmp_path / "figures" / "phi_of_classes.png").read_bytes() == by_number
    assert command.main([str(tmp_path), "--pairs", "11,3", "11,5"]) == 0
    assert (tmp_path / "figures" / "phi_of_classes.png").read_bytes() != by_number


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda run: (run / "results.json").unlink(), "results.json is not there"),
        (lambda run: (run / "results.json").write_text("{"), "results.json is damaged"),
        (lambda run: (run / "results.json").write_text("[]"), "results.json is damaged"),
        (lambda run: (run / "results.json").write_text("{}"), "results.json is damaged"),
        (lambda run: (run / "coefficients.npz").write_text("x"), "coefficients.npz is damaged"),
    ],
)
def test_a_damaged_directory_ends_in_one_sentence(damage, named, tmp_path, capsys) -> None:
    write_run(tmp_path)
    damage(tmp_path)
    assert command.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


def test_pairs_that_are_none_are_named(tmp_path, capsys) -> None:
    write_run(tmp_path)
    for pair in "1,3", "-1,2", "name 1,nobody":
        assert command.main([str(tmp_path), f"--pairs={pair}"]) == 2
        error = capsys.readouterr().err
        assert f"({pair.replace(',', ', ')}) is no pair of classes" in error
        assert "numbered from 0 to 2, and called name 0, name 1, name 2." in error
    with pytest.raises(SystemExit, match="2"):
        command.main([str(tmp_path), "--pairs", "1"])


def test_figures_need_no_training_code() -> None:
    code = (
        "import sys, types; sys.modules['tf_l2t'] = package = types.ModuleType('tf_l2t');"
        "import pathlib; package.__path__ = [str(pathlib.Path('tf_l2t').resolve())];"
        "import tf_l2t.plots; assert not [m for m in sys.modules if m.startswith('tf_l2t.training')"
        " or m.split('.')[0] in ('tensorflow', 'keras')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
