"""Figures of a run, made from its directory alone."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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
        figures["dev_measure"] = lambda figure: _dev_measure(figure, results["teacher"]["steps"])
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
        FigureCanvasAgg(figure).print_png(str(directory / f"{name}.png"))
        written.append(directory / f"{name}.png")
    return written


def _dev_measure(figure: Figure, steps: list[dict[str, Any]]) -> None:
    figure.set_size_inches(6, 4)
    axes = figure.add_subplot()
    numbers = [step["step"] for step in steps]
    axes.plot(numbers, [step["measure"] for step in steps], ".-", label="dev measure")
    axes.plot(numbers, [step["accuracy"] for step in steps], ".-", label="dev accuracy")
    selected = [step for step in steps if step["selection"] is not None]
    axes.plot(
        [step["step"] for step in selected],
        [step["selection"] for step in selected],
        "o",
        label="dev accuracy, selection students",
    )
    for step in steps:
        if not step["taken"]:
            axes.axvline(step["step"], color="tab:red", alpha=0.3)
    axes.set_xlabel("teacher step (red: refused)")
    axes.legend()
    axes.grid(alpha=0.3)


def _phi(figure: Figure, steps: np.ndarray, phi: np.ndarray, names: list[str]) -> None:
    figure.set_size_inches(12, 3.4)
    shown = np.unique(np.linspace(0, len(steps) - 1, 4).round().astype(int))
    limit = float(np.abs(phi).max()) or 1.0
    all_axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, position in zip(all_axes, shown, strict=True):
        image = axes.imshow(phi[position], cmap="RdBu", vmin=-limit, vmax=limit)
        axes.set_title(f"student step {steps[position]}")
        axes.set_xlabel("j")
        if len(names) <= 20:
            axes.set_xticks(range(len(names)), names)
            axes.set_yticks(range(len(names)), names)
    all_axes[0].set_ylabel("true class i")
    figure.colorbar(image, ax=list(all_axes), label="Φ(i, j)")


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
