"""Figures of a run, made from its directory alone."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tf_l2t.runtime.files import atomic_writer


def write_figures(run_directory: pathlib.Path) -> list[pathlib.Path]:
    """Writes the figures of a run to its `figures/` and returns their paths.

    Args:
        run_directory: holds results.json and, once students were taught, coefficients.npz.

    Raises:
        FileNotFoundError: if there is no results.json.
    """
    results = json.loads((run_directory / "results.json").read_text())
    figures: dict[str, Callable[[Figure], None]] = {}
    if results["teacher"].get("steps"):
        figures["dev_measure"] = lambda figure: _dev_measure(figure, results["teacher"])
    coefficients = run_directory / "coefficients.npz"
    if coefficients.exists():
        with np.load(coefficients, allow_pickle=False) as file:
            steps, phi = file["steps"], file["phi"]
        names = results["data"]["class_names"]
        figures["phi"] = lambda figure: _phi(figure, steps, phi, names)
    if results["rows"]:
        figures["test_error"] = lambda figure: _errors(figure, results["rows"])
    directory = run_directory / "figures"
    directory.mkdir(exist_ok=True)
    written = []
    for name, draw in figures.items():
        figure = Figure(layout="constrained")
        draw(figure)
        with atomic_writer(directory / f"{name}.png") as file:
            FigureCanvasAgg(figure).print_png(file)
        written.append(directory / f"{name}.png")
    return written


def _dev_measure(figure: Figure, teacher: dict[str, Any]) -> None:
    steps, last_selection = teacher["steps"], teacher["last_selection"]
    figure.set_size_inches(6, 4)
    axes = figure.add_subplot()
    numbers = [step["step"] for step in steps]
    axes.plot(numbers, [step["measure"] for step in steps], ".-", label="dev measure")
    axes.plot(numbers, [step["accuracy"] for step in steps], ".-", label="dev accuracy")
    selected = [step for step in steps if step["selection"] is not None]
    positions = [step["step"] for step in selected]
    scores = [step["selection"] for step in selected]
    if last_selection is not None:
        positions, scores = [*positions, len(steps)], [*scores, last_selection]
    axes.plot(positions, scores, "o", label="dev accuracy, selection students")
    for step in steps:
        if not step["taken"]:
            axes.axvline(step["step"], color="tab:red", alpha=0.3)
    axes.set_xlabel("teacher step (red: refused)")
    axes.legend()
    axes.grid(alpha=0.3)


def _phi(figure: Figure, steps: np.ndarray, phi: np.ndarray, names: list[str]) -> None:
    """Draws Φ beside its diagonal at three moments, and its diagonal at every moment."""
    figure.set_size_inches(13, 3.2)
    classes = phi.shape[1]
    diagonal = np.eye(classes, dtype=bool)
    beside = np.where(diagonal, np.nan, phi)
    limit = float(np.nanmax(np.abs(beside))) or 1.0
    shown = np.unique(np.linspace(0, len(steps) - 1, 3).round().astype(int))
    *maps, lines = figure.subplots(1, len(shown) + 1, squeeze=False)[0]
    for axes, position in zip(maps, shown, strict=True):
        image = axes.imshow(beside[position], cmap="RdBu", vmin=-limit, vmax=limit)
        axes.set_facecolor("0.85")
        axes.set_title(f"student step {steps[position]}")
        axes.set_xlabel("j")
        if classes <= 20:
            axes.set_xticks(range(classes), names)
            axes.set_yticks(range(classes), names)
    maps[0].set_ylabel("true class i")
    figure.colorbar(image, ax=maps, label="Φ(i, j), j ≠ i")
    for k in range(classes) if classes <= 20 else ():
        lines.plot(steps, phi[:, k, k], label=names[k])
    if classes > 20:
        lines.plot(steps, phi[:, diagonal].mean(axis=1), label="mean")
    lines.set_title("diagonal")
    lines.set_xlabel("student step")
    lines.set_ylabel("Φ(i, i)")
    lines.legend(title="i", fontsize="small", ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
    lines.grid(alpha=0.3)


def _errors(figure: Figure, rows: dict[str, Any]) -> None:
    figure.set_size_inches(6, 4)
    axes = figure.add_subplot()
    for position, (_, row) in enumerate(rows.items()):
        errors = [100 * (1 - student["test_accuracy"]) for student in row["students"].values()]
        axes.plot([position] * len(errors), errors, "o", alpha=0.5)
        axes.plot(position, np.mean(errors), "k_", markersize=18)
    axes.set_xticks(range(len(rows)), list(rows), rotation=20, ha="right")
    axes.set_ylabel("test error, % (bar: mean over seeds)")
    axes.grid(alpha=0.3, axis="y")
