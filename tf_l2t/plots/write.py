"""The figures of a run, those that its directory has the data for."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tf_l2t.losses import DynamicBilinear, DynamicForwardCorrection, loss_from_record
from tf_l2t.losses.base import Loss
from tf_l2t.plots.coefficients import class_bars, phi
from tf_l2t.plots.learning_curves import has_curves, learning_curves, training_loss
from tf_l2t.plots.loss_surface import loss_surface
from tf_l2t.plots.noise import noise
from tf_l2t.plots.scores import dev_measure, test_scores
from tf_l2t.plots.style import STYLE
from tf_l2t.runtime.coefficient_scalars import is_matrix, names_of
from tf_l2t.runtime.files import atomic_writer
from tf_l2t.runtime.taught_student import TaughtStudent
from tf_l2t.runtime.watch import ClassPairs, most_moved_pairs
from tf_l2t.score import score_of

Draw = Callable[[Figure], None]


def write_figures(
    run_directory: pathlib.Path, class_pairs: ClassPairs | None = None
) -> list[pathlib.Path]:
    """Writes the figures of a run to its `figures/` and returns their paths.

    Args:
        run_directory: holds results.json and, once students were taught, coefficients.npz.
        class_pairs: (i, j) of the classes that are shown apart; those whose Φ(i, j) moved the
            most if None.

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
    class_pairs: ClassPairs | None,
    loss: Loss | None,
    labels_of_class: Sequence[Sequence[float]] | None,
) -> dict[str, Draw]:
    matrices = student.told.get("phi")
    if matrices is None or not len(matrices) or not is_matrix(matrices[0]) or len(matrices[0]) < 2:
        return {}
    classes = matrices.shape[-1]
    for pair in class_pairs or ():
        if len(pair) != 2 or not 0 <= min(pair) <= max(pair) < classes:
            raise ValueError(
                f"{tuple(pair)} is no pair of classes; these are numbered from 0 to {classes - 1}."
            )
    pairs = list(class_pairs or most_moved_pairs(matrices, classes * classes))
    names = names_of(classes, class_names)
    figures: dict[str, Draw] = {
        "phi": lambda figure: phi(figure, student.steps, matrices, names),
        "phi_of_classes": lambda figure: class_bars(figure, student.steps, matrices, names, pairs),
    }
    if labels_of_class is not None:
        applied = np.array(labels_of_class)
        forward = isinstance(loss, DynamicForwardCorrection)
        learned = matrices[-1]
        if isinstance(loss, DynamicForwardCorrection):
            learned = loss.transition_matrix(tf.constant(learned)).numpy()
        figures["noise"] = lambda figure: noise(figure, applied, learned, names, forward)
    beside = [(i, j) for i, j in pairs if i != j]
    if (loss is None or isinstance(loss, DynamicBilinear)) and beside:
        bias = student.told.get("bias")
        figures["loss_surface"] = lambda figure: loss_surface(
            figure, student.steps, matrices, bias, names, beside[0]
        )
    return figures


def _loss_of(run_directory: pathlib.Path, results: dict[str, Any]) -> Loss | None:
    taught_by = results.get("taught_by")
    teacher = pathlib.Path(taught_by["path"]) if taught_by else run_directory / "teacher"
    try:
        return loss_from_record(json.loads((teacher / "teacher.json").read_text())["loss"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
