"""What TensorBoard shows of a run."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tf_l2t.runtime.files import writing
from tf_l2t.training.teacher_trainer import TeacherStep


class Summaries:
    """Writes scalars, tensors and heat maps under a directory.

    Args:
        directory: where the event files go, for `tensorboard --logdir`.
        class_names: of the rows and columns of Φ.
    """

    def __init__(self, directory: pathlib.Path, class_names: tuple[str, ...]) -> None:
        self._directory = directory
        self._class_names = class_names
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def scalars(self, run: str, step: int, values: Mapping[str, float | None]) -> None:
        """Writes numbers; one that is None was not measured and is left out."""
        with self._writer(run).as_default(step=step):
            for name, value in values.items():
                if value is not None:
                    tf.summary.scalar(name, value)

    def teacher_step(
        self, record: TeacherStep, coefficients: Mapping[str, Mapping[str, np.ndarray]]
    ) -> None:
        """Writes what happened in a teacher step, and Φ at some moments of its last student."""
        self.scalars(
            "teacher",
            record.step,
            {
                "dev/measure": record.measure,
                "dev/accuracy": record.accuracy,
                "dev/selection_accuracy": record.selection,
                "hypergradient/norm": record.norm,
                "hypergradient/amplification": record.amplification,
                "hypergradient/refused": len(record.refused),
                "step_scale": record.scale,
            },
        )
        for moment, values in coefficients.items():
            self.coefficients(f"teacher/{moment}_of_student", record.step, values)

    def coefficients(self, run: str, step: int, coefficients: Mapping[str, np.ndarray]) -> None:
        """Writes Φ raw, as a histogram, its mean diagonal and off-diagonal, and as a heat map."""
        with self._writer(run).as_default(step=step):
            for name, value in coefficients.items():
                tf.summary.write(f"{name}/raw", value, metadata=tf.compat.v1.SummaryMetadata())
                tf.summary.histogram(f"{name}/histogram", value)
                if value.ndim == 2:
                    off_diagonal = value[~np.eye(len(value), dtype=bool)]
                    tf.summary.scalar(f"{name}/diagonal_mean", value.diagonal().mean())
                    tf.summary.scalar(f"{name}/off_diagonal_mean", off_diagonal.mean())
                    tf.summary.scalar(f"{name}/off_diagonal_min", off_diagonal.min())
                    tf.summary.image(f"{name}/heat_map", self._heat_map(value)[None])

    def flush(self) -> None:
        """Brings to the disk what is still held back, lest a kill lose it."""
        with writing(self._directory):
            for writer in self._writers.values():
                writer.flush()

    def close(self) -> None:
        """Writes what is still held back."""
        with writing(self._directory):
            for writer in self._writers.values():
                writer.close()

    def _writer(self, run: str) -> tf.summary.SummaryWriter:
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self._directory / run))
        return self._writers[run]

    def _heat_map(self, value: np.ndarray) -> np.ndarray:
        figure = Figure(figsize=(4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        limit = float(np.abs(value).max()) or 1.0
        image = axes.imshow(value, cmap="RdBu", vmin=-limit, vmax=limit)
        if len(self._class_names) <= 20:
            axes.set_xticks(range(len(value)), self._class_names, rotation=90)
            axes.set_yticks(range(len(value)), self._class_names)
        axes.set_xlabel("j")
        axes.set_ylabel("true class i")
        figure.colorbar(image)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)
        return tf.io.decode_png(buffer.getvalue(), channels=3).numpy()
