"""What TensorBoard shows of a run."""

from __future__ import annotations

import pathlib
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.image import metadata as image_metadata

from tf_l2t.runtime.coefficient_scalars import (
    histograms_of,
    is_matrix,
    names_of,
    pair_scalars,
    scalars_of,
    tables_of,
)
from tf_l2t.runtime.event_files import forget_from, read_tensors
from tf_l2t.runtime.files import writing
from tf_l2t.runtime.heat_map import MAX_ANNOTATED, Scale, heat_map_image, off_diagonal_scale
from tf_l2t.runtime.taught_student import TaughtStudent
from tf_l2t.runtime.watch import ClassPairs, Watch
from tf_l2t.score import ACCURACY, Score
from tf_l2t.training.teacher_trainer import TeacherStep

_PAIRS = "teacher/class_pairs"


class Summaries:
    """Writes what happens in a run under a directory, one point of each curve per step.

    Args:
        directory: where the event files go, for `tensorboard --logdir`.
        class_names: of the rows and columns of Φ.
        watch: what is shown of Φ.
        score: that students are judged by.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        class_names: Sequence[str],
        watch: Watch | None = None,
        score: Score = ACCURACY,
    ) -> None:
        self._directory = directory
        self._class_names = class_names
        self._score = score
        self._watch = watch or Watch()
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._noted: set[tuple[str, str]] | None = None

    def resume(self, step: int) -> None:
        """Forgets what an earlier process wrote for a teacher step or later ones."""
        forget_from(self._directory / "teacher", step)
        self._forget(_PAIRS)

    def scalars(self, run: str, step: int, values: Mapping[str, float | None]) -> None:
        """Writes numbers; one that is None was not measured and is left out."""
        with self._writer(run).as_default(step=step):
            for name, value in values.items():
                if value is not None:
                    tf.summary.scalar(name, value)

    def teacher_step(
        self,
        record: TeacherStep,
        told: Mapping[str, Mapping[str, np.ndarray]],
        *,
        last: bool = False,
    ) -> None:
        """Writes what happened in a teacher step.

        Args:
            record: of it.
            told: what its students are told, by moment of their training and name.
            last: whether no teacher step follows; it gets heat maps like the first.
        """
        self.scalars(
            "teacher",
            record.step,
            {
                "dev/measure": record.measure,
                f"dev/{self._score.key}": record.score,
                f"dev/selection_{self._score.key}": record.selection,
                "hypergradient/norm": record.norm,
                "hypergradient/amplification": record.amplification,
                "hypergradient/refused": len(record.refused),
                "teacher_step/skipped": not record.taken,
                "teacher_step/scale": record.scale,
                **{f"seconds/{phase}": value for phase, value in record.seconds.items()},
            },
        )
        whole = last or record.step % self._watch.heat_map_every == 0
        for moment, values in told.items():
            title = f"teacher step {record.step}, {moment} of a student"
            run = f"teacher/{moment}_of_student"
            self.told(run, record.step, values, title=title if whole else None)
        # A checkpoint follows, and what it does not take back must be on disk.
        self.flush()

    def teacher_end(self, step: int, selection: float | None) -> None:
        """Writes the last θ's score and the entries of Φ that moved the most, once both are known.

        Args:
            step: number of teacher steps done.
            selection: mean dev score of the selection students of the last θ.
        """
        self.scalars("teacher", step, {f"dev/selection_{self._score.key}": selection})
        raw = read_tensors(self._directory / "teacher/end_of_student", "phi/raw")
        matrices = np.array(list(raw.values()))
        if (
            self._watch.class_pairs is None
            and matrices.ndim == 3
            and np.ptp(matrices, axis=0).any()
        ):
            pairs = self._watch.pairs(matrices)
            for at, matrix in raw.items():
                self.scalars(_PAIRS, at, pair_scalars("phi", matrix, self._class_names, pairs))

    def student(self, student: TaughtStudent, feature_names: Sequence[str]) -> None:
        """Writes what a student was told through its training, and what its teacher saw of it."""
        self._forget("student")
        moments = self._watch.moments(len(student.steps))
        shared = {
            name: (self._watch.pairs(values), off_diagonal_scale(values))
            for name, values in student.told.items()
            if is_matrix(values[0])
        }
        for k, step in enumerate(student.steps.tolist()):
            features = dict(zip(feature_names, student.state_vectors[k], strict=True))
            self.scalars("student", step, {f"state/{name}": v for name, v in features.items()})
            values = {name: array[k] for name, array in student.told.items()}
            title = f"student step {step}" if k in moments else None
            # A tag of its own: a student's steps are not those of the teacher.
            self.told("student", step, values, prefix="student_", title=title, shared=shared)
        self.flush()

    def students(self, rows: Mapping[str, Any]) -> None:
        """Writes the scores of the compared students, those not yet written.

        Args:
            rows: "rows" of results.json.
        """
        if self._noted is None:
            self._forget("comparison")
            self._noted = set()
        for name, row in rows.items():
            for index, (seed, student) in enumerate(row.get("students", {}).items()):
                if (name, seed) not in self._noted:
                    scores = {
                        f"scores/{score}": value
                        for score, value in student.items()
                        if score.startswith(("dev_", "test_")) or score == "seconds"
                    }
                    self.scalars(f"comparison/{_file_name(name)}", index, scores)
                    self._noted.add((name, seed))

    def told(
        self,
        run: str,
        step: int,
        values: Mapping[str, np.ndarray],
        *,
        prefix: str = "",
        title: str | None = None,
        shared: Mapping[str, tuple[ClassPairs, Scale]] | None = None,
    ) -> None:
        """Writes coefficients and attention: histograms, and scalars and tables that stay few.

        Args:
            run: the run of TensorBoard.
            step: its step.
            values: coefficients of any shape by name.
            prefix: of the tags.
            title: of the heat maps; if None there are no heat maps, tables and large tensors.
            shared: class pairs and scale of the colours that the steps of a run have in common,
                by name.
        """
        with self._writer(run).as_default(step=step):
            for name, given in values.items():
                value = np.asarray(given)
                label = f"{prefix}{name}"
                if title is not None or value.size <= MAX_ANNOTATED**2:
                    _write_tensor(f"{label}/raw", value)
                pairs, scale = (shared or {}).get(name, (self._watch.class_pairs or (), None))
                for tag, number in scalars_of(label, value, self._class_names, pairs).items():
                    tf.summary.scalar(tag, number)
                for tag, values_of in histograms_of(label, value).items():
                    tf.summary.histogram(tag, values_of)
                if title is None:
                    continue
                for tag, table in tables_of(label, value, self._class_names).items():
                    tf.summary.text(tag, table)
                if is_matrix(value) and np.isfinite(value).all():
                    names = names_of(len(value), self._class_names)
                    png = heat_map_image(value, names, title, scale)
                    _write_image(f"{label}/heat_map", png)

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

    def _forget(self, run: str) -> None:
        # A writer of this run, or of one below it, would go on with a file that is gone.
        for name in [name for name in self._writers if f"{name}/".startswith(f"{run}/")]:
            self._writers.pop(name).close()
        shutil.rmtree(self._directory / run, ignore_errors=True)

    def _writer(self, run: str) -> tf.summary.SummaryWriter:
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self._directory / run))
        return self._writers[run]


def _file_name(row: str) -> str:
    return re.sub(r"[^\w ,.+-]", "_", row).strip(" .") or "_"


def _write_image(tag: str, png: bytes) -> None:
    """Writes a picture as it is; tf.summary.image would write it three times as large."""
    image = tf.io.decode_png(png)
    metadata = image_metadata.create_summary_metadata(display_name=None, description=None)
    height, width = image.shape[:2]
    tf.summary.write(tag, tf.constant([str(width), str(height), png]), metadata=metadata)


def _write_tensor(tag: str, value: np.ndarray) -> None:
    """Writes a tensor that no dashboard shows, for who reads the event files."""
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="tf_l2t")
    )
    metadata.data_class = 2  # A tensor, as summary.proto numbers them.
    tf.summary.write(tag, value, metadata=metadata)
