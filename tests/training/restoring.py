"""What a trainer that is restored from a snapshot must come to."""

import json
from collections.abc import Callable

import numpy as np

from tf_l2t.training.teacher_trainer import TeacherTrainer


def flat(tensors) -> np.ndarray:
    """Returns the numbers of some tensors, one after the other."""
    return np.concatenate([np.ravel(tensor) for tensor in tensors])


def assert_goes_on_alike(
    make: Callable[[], TeacherTrainer], after: int
) -> tuple[TeacherTrainer, TeacherTrainer]:
    """Ends a trainer, and one restored after some of its steps, which come to the same θ.

    Args:
        make: returns a new trainer.
        after: steps before the snapshot.

    Returns:
        Both.
    """
    whole = make()
    for _ in range(after):
        whole.step()
    arrays, record = whole.snapshot()
    restored = make()
    restored.restore(arrays, json.loads(json.dumps(record)))
    for trainer in (whole, restored):
        while not trainer.finished:
            trainer.step()
        trainer.finish()
    np.testing.assert_array_equal(flat(whole.theta), flat(restored.theta))
    np.testing.assert_array_equal(flat(whole.best_theta), flat(restored.best_theta))
    return whole, restored
