"""The figures of a run, those that its directory has the data for."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tf_l2t.plots.coefficients import class_bars, phi
from tf_l2t.plots.learning_curves import has_curves, learning_curves, training_loss
from tf_l2t.plots.loss_surface import loss_surface
from tf_l2t.plots.noise import noise
from tf_l2t.plots.scores import dev_measure, test_scores
from tf_l2t.plots.style import STYLE
from tf_l2t.runtime.coefficient_scalars import is_matrix, names_of
from tf_l2t.runtime.files import atomic_writer
from tf_l2t.runtime.taught_student import TaughtStudent
from tf_l2t.runtime.watch import most_moved_pairs
from tf_l2t.score import score_of

Draw = Callable[[Figure], None]


def write_figures(
    run_directory: pathlib.Path, class_pairs: Sequence[tuple[int | str, int | str]] | None = None
) -> list[pathlib.Path]:
    """Writes the figures of a run to its `figures/` and returns their paths.

    Args:
        run_directory: holds results.json and, once students were taught, coefficients.npz.
        class_pairs: (i, j) of the classes that are shown apart, by their names or numbered from
            0; those whose Φ(i, j) moved the most if None. Where i is in several pairs, Φ(i, ·)
            is drawn for their j alone.

    Raises:
        FileNotFoundError: if there is no results.json.
        ValueError: if a file is damaged, or a pair names a class that is not there.
    """
    path = run_directory / "results.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there; give the directory of a run, such as runs/lenet_mnist."
        )
    try:
        results = json.loads(path.read_text())
        figures = _of_results(results)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); run again, or restore it.") from error
    coefficients = run_directory / "coefficients.npz"
    if coefficients.exists():
        student = TaughtStudent.load(coefficients)
        names = results["data"].get("class_names", ())
        loss = _loss_of(run_directory, results)
        corruption = results["data"].get("corruption") or {}
        wrong = corruption.get("labels_of_class") if corruption.get("wrong_labels") else None
        figures |= _of_student(student, names, class_pairs, loss, wrong)
    written = []
    for name, draw in figures.items():
        with rc_context(STYLE):  # type: ignore[arg-type]
            figure = Figure(layout="constrained")
            draw(figure)
            with atomic_writer(run_directory / "figures" / f"{name}.png") as file:
                FigureCanvasAgg(figure).print_png(file)
        written.append(run_directory / "figures" / f"{name}.png")
    return written


def _of_results(results: dict[str, Any]) -> dict[str, Draw]:
    figures: dict[str, Draw] = {}
    score = score_of(results)
    if results["teacher"].get("steps"):
        figures["dev_measure"] = lambda figure: dev_measure(figure, results["teacher"], score)
    rows = {name: row for name, row in results["rows"].items() if row.get("students")}
    if rows:
        figures[score.field("test")] = lambda figure: test_scores(figure, rows, score)
    if any(has_curves(row, "training_loss") for row in rows.values()):
        figures["training_loss"] = lambda figure: training_loss(figure, rows)
    if any(has_curves(row, score.observed("dev")) for row in rows.values()):
        figures["learning_curves"] = lambda figure: learning_curves(figure, rows, score)
    return figures


def _of_student(
    student: TaughtStudent,
    class_names: Sequence[str],
    class_pairs: Sequence[tuple[int | str, int | str]] | None,
    loss: Mapping[str, Any] | None,
    labels_of_class: Sequence[Sequence[float]] | None,
) -> dict[str, Draw]:
    matrices = student.told.get("phi")
    if matrices is None or not len(matrices) or not is_matrix(matrices[0]) or len(matrices[0]) < 2:
        return {}
    name = loss["class"] if loss else None
    classes = matrices.shape[-1]
    names = names_of(classes, class_names)
    pairs = [_numbered(pair, names) for pair in class_pairs or ()]
    pairs = pairs or most_moved_pairs(matrices, classes * classes)
    against: dict[int, list[int]] = {}
    for i, j in pairs:
        against.setdefault(i, []).extend([j] if class_pairs else [])
    figures: dict[str, Draw] = {
        "phi": lambda figure: phi(figure, student.steps, matrices, names),
        "phi_of_classes": lambda figure: class_bars(
            figure, student.steps, matrices, names, against
        ),
    }
    if labels_of_class is not None and name:
        applied = np.array(labels_of_class)
        learned, forward = matrices[-1], name == "DynamicForwardCorrection"
        if forward:
            # As the loss itself does, but without TensorFlow.
            right = loss["arguments"].get("least_right", 0.0) if loss else 0.0
            learned = right * np.eye(classes) + (1 - right) * scipy.special.softmax(learned, axis=1)
        figures["noise"] = lambda figure: noise(figure, applied, learned, names, forward)
    beside = [(i, j) for i, j in pairs if i != j]
    if name == "DynamicBilinear" and beside:
        bias = student.told.get("bias")
        figures["loss_surface"] = lambda figure: loss_surface(
            figure, student.steps, matrices, bias, names, beside[0]
        )
    return figures


def _numbered(pair: Sequence[int | str], names: Sequence[str]) -> tuple[int, int]:
    """Returns the numbers of two classes that are given by their names or numbers."""
    numbers = [
        names.index(each) if each in names else int(each) if str(each).isdigit() else -1
        for each in pair
    ]
    if len(numbers) != 2 or not 0 <= min(numbers) <= max(numbers) < len(names):
        raise ValueError(
            f"({', '.join(map(str, pair))}) is no pair of classes; these are numbered from 0 to "
            f"{len(names) - 1}, and called {', '.join(names)}."
        )
    return numbers[0], numbers[1]


def _loss_of(run_directory: pathlib.Path, results: dict[str, Any]) -> Mapping[str, Any] | None:
    """Returns what the teacher's record says of the loss; None if it is not there any more."""
    taught_by = results.get("taught_by")
    teacher = pathlib.Path(taught_by["path"]) if taught_by else run_directory / "teacher"
    try:
        record = (teacher / "teacher.json").read_bytes()
        if taught_by and hashlib.sha256(record).hexdigest() != taught_by["sha256"]:
            return None
        loss = json.loads(record)["loss"]
        return loss if loss["class"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
