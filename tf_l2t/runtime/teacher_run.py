"""The training of a teacher from its first step to its last, with all that is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_l2t.runtime.checkpoints import Checkpoints
from tf_l2t.runtime.cluster import check_agreement
from tf_l2t.runtime.export import export_teacher
from tf_l2t.runtime.files import writing
from tf_l2t.runtime.run_directory import RunDirectory
from tf_l2t.runtime.summaries import Summaries
from tf_l2t.training.progress import Progress
from tf_l2t.training.teacher_step import Snapshot
from tf_l2t.training.teacher_trainer import TeacherTrainer


def train_teacher(
    trainer: TeacherTrainer,
    checkpoints: Checkpoints,
    results: dict[str, Any],
    directory: RunDirectory,
    summaries: Summaries,
    checkpoint_every: int,
    describe: Callable[[float | None], dict[str, Any]],
) -> None:
    """Trains a teacher to its end, with checkpoints, and exports the best.

    Args:
        trainer: of the teacher, as the last checkpoint left it.
        checkpoints: where they go.
        results: content of results.json, filled in.
        directory: of the run.
        summaries: told of every step.
        checkpoint_every: teacher steps between two checkpoints.
        describe: dev score of the best teacher, None before its first selection ->
            teacher.json.
    """
    replicas, score = trainer.teaching.replicas, trainer.teaching.task.score
    saved = len(trainer.history)

    def save(snapshot: Snapshot) -> None:
        summaries.flush()
        checkpoints.save(len(snapshot.record["history"]), *snapshot)
        results["teacher"] = {
            "steps": snapshot.record["history"],
            "refused_steps": snapshot.record["trust_region"]["refused"],
            "last_selection": snapshot.record["last_selection"],
            score.scored("best_dev"): snapshot.record["best_score"],
            "stopped_because": trainer.failure,
        }
        directory.write_results(results)

    # What all workers agree on; what an interruption finds half done is left out.
    agreed = trainer.snapshot()
    try:
        with Progress("training of the teacher", *trainer.work(), replicas=replicas) as progress:
            while not trainer.finished:
                start = time.perf_counter()
                record = trainer.step(progress.steps)
                told = trainer.coefficients_of_last_lesson()
                summaries.teacher_step(record, told, last=trainer.finished)
                # After the summaries: what is interrupted in them is done and written again.
                snapshot = trainer.snapshot()
                check_agreement(replicas.workers, snapshot.arrays)
                agreed = snapshot
                results["seconds"]["teacher"] += time.perf_counter() - start
                for sentence in record.refused:
                    progress.write(f"teacher step {record.step}: {sentence}")
                progress.note(f"step {record.step}: dev measure {record.measure:.4f}")
                if len(trainer.history) - saved >= checkpoint_every:
                    save(agreed)
                    saved = len(trainer.history)
            start = time.perf_counter()
            trainer.finish(progress.steps)
            snapshot = trainer.snapshot()
            check_agreement(replicas.workers, snapshot.arrays)
            agreed = snapshot
            results["seconds"]["teacher"] += time.perf_counter() - start
            summaries.teacher_end(len(trainer.history), trainer.last_selection)
    finally:
        save(agreed)
        assert trainer.teaching.teacher is not None
        best = [tf.constant(agreed.arrays[f"best/{k}"]) for k in range(len(trainer.theta))]
        metadata = describe(agreed.record["best_score"])
        with writing(directory.teacher):
            export_teacher(directory.teacher, trainer.teaching.teacher, best, metadata)
