"""A trained teacher, read back from its SavedModel."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_l2t.losses import TAUGHT_LOSSES, loss_from_record
from tf_l2t.runtime.files import recover_directory
from tf_l2t.runtime.teacher_record import TeacherError, read_record

_SIGNATURE = "batched"


class LoadedTeacher:
    """A teacher's coefficients as a function of the state: made by `load_teacher`.

        Φ = μ_θ(s)

    It may be called within a `tf.function`, a `tf.while_loop` and XLA, and has no pickled code.

    Attributes:
        path: the directory it was read from.
        digest: SHA-256 of everything in it.
        metadata: teacher.json.
        class_names, num_classes: of the classification task.
        feature_names: of the entries of the state vector, |s|.
        observed_examples: training and dev examples that a state vector is measured on.
        observe_every: training steps between two measurements.
        warm_start_steps: the first steps of the students that it learned from, on cross entropy.
        learning_rate: the peak learning rate of these students; None where teacher.json does not
            say it.
        loss: the loss that it sets the coefficients of.

    Example:
        >>> teacher = load_teacher("runs/lenet_mnist/teacher")
        >>> teacher(tf.zeros([1, len(teacher.feature_names)]))["phi"].shape  # (1, 10, 10)

    L2T-DLF (Wu et al., NeurIPS 2018), section 4.1.
    """

    def __init__(
        self, path: pathlib.Path, digest: str, metadata: dict[str, Any], saved_model: Any
    ) -> None:
        self.path = path
        self.digest = digest
        self.metadata = metadata
        self.num_classes: int = metadata["num_classes"]
        self.class_names = tuple(metadata["class_names"])
        self.feature_names = tuple(feature["name"] for feature in metadata["state"]["features"])
        self.observed_examples: int = metadata["state"]["observed_examples"]
        self.observe_every: int = metadata["state"]["observe_every"]
        self.warm_start_steps: int = metadata.get("budget", {}).get("warm_start_steps", 0)
        self.learning_rate: float | None = metadata.get("student", {}).get("learning_rate")
        self.loss = loss_from_record(metadata["loss"])
        # TensorFlow frees the functions of a SavedModel that nobody holds.
        self._saved_model = saved_model
        self._function = saved_model.signatures[_SIGNATURE]

    def __call__(self, states: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns each coefficient, [batch, *shape], float32.

        Args:
            states: state vectors, [batch, |s|], entries in [0, 1]; see teacher.json.

        Raises:
            ValueError: if that is not their shape.
        """
        states = tf.cast(states, tf.float32)
        width = len(self.feature_names)
        if not states.shape.is_compatible_with([None, width]):
            raise ValueError(
                f"LoadedTeacher: states must have the shape [batch, {width}], got "
                f"{states.shape}; give one row of {', '.join(self.feature_names[:4])}, … a student."
            )
        return self._function(states=states)

    def __repr__(self) -> str:
        """Returns what it is and where it is from."""
        return f"LoadedTeacher({str(self.path)!r}, num_classes={self.num_classes})"

    def check_classes(self, classes: int | Sequence[str]) -> None:
        """Checks that the teacher is for as many classes, or for these classes in this order.

        Args:
            classes: their number or their names.

        Raises:
            TeacherError: if it is for others.
        """
        if isinstance(classes, Sequence):
            fits, wanted = tuple(classes) == self.class_names, shortened(classes)
        else:
            fits, wanted = classes == self.num_classes, str(classes)
        if not fits:
            raise TeacherError(
                f"the teacher {self.path} is for {self.num_classes} classes "
                f"({shortened(self.class_names)}), not for {wanted}; train a teacher on data of "
                "these classes."
            )


def shortened(names: Sequence[str], most: int = 10) -> str:
    """Returns names for a message: all of a few, of many the first ones and how many there are."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])}, … {len(names):,} in all"


def load_teacher(
    path: str | os.PathLike[str], num_classes: int | Sequence[str] | None = None
) -> LoadedTeacher:
    """Loads a teacher that a run exported, once all that can be checked has been checked.

    A SavedModel holds a TensorFlow graph and no Python code; still, load only what you trust.

    Args:
        path: of the directory, such as runs/NAME/teacher.
        num_classes: how many classes it should be for, or their names; not checked if None.

    Raises:
        TeacherError: (a ValueError) if there is nothing, no SavedModel, no teacher, a damaged
            one, or one for other classes; the sentence says which, and the remedy.

    Example:
        >>> teacher = tf_l2t.load_teacher("runs/lenet_mnist/teacher", num_classes=10)
    """
    directory = pathlib.Path(path).absolute()
    recover_directory(directory)
    metadata, digest = read_record(directory)
    _check_record(directory, metadata)
    try:
        with tf.init_scope():
            saved_model = tf.saved_model.load(str(directory))
    except Exception as error:  # A broken SavedModel raises whatever its reader stumbles over.
        raise TeacherError(
            f"{directory} cannot be loaded ({type(error).__name__}: {error}); export it again."
        ) from error
    _check_signatures(directory, metadata, saved_model)
    teacher = LoadedTeacher(directory, digest, metadata, saved_model)
    if num_classes is not None:
        teacher.check_classes(num_classes)
    return teacher


def _check_record(directory: pathlib.Path, metadata: dict[str, Any]) -> None:
    """Raises TeacherError where the parts of teacher.json do not fit each other."""
    damaged = f"{directory / 'teacher.json'} is damaged"
    name = metadata["loss"].get("class")
    if name not in TAUGHT_LOSSES:
        raise TeacherError(
            f"the teacher {directory} is for the loss {name!r}, and this tf_l2t has "
            f"{sorted(TAUGHT_LOSSES)}; install the tf_l2t that wrote it."
        )
    try:
        shapes = loss_from_record(metadata["loss"]).coefficient_shapes(metadata["num_classes"])
        features = [feature["name"] for feature in metadata["state"]["features"]]
        for key in ("observed_examples", "observe_every"):
            if not (isinstance(metadata["state"][key], int) and metadata["state"][key] > 0):
                raise ValueError(f"{key} is {metadata['state'][key]!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise TeacherError(f"{damaged} ({error}); export the teacher again.") from error
    given = {name: tuple(shape) for name, shape in metadata["coefficients"].items()}
    if given != shapes:
        raise TeacherError(f"{damaged} (coefficients {given}, not {shapes}); export it again.")
    classes = metadata["num_classes"]
    if len(metadata["class_names"]) != classes or len(features) not in (classes + 3, 3):
        raise TeacherError(
            f"{damaged} ({len(metadata['class_names'])} class names and {len(features)} features "
            f"for {classes} classes); export the teacher again."
        )


def _check_signatures(directory: pathlib.Path, metadata: dict[str, Any], saved_model: Any) -> None:
    """Raises TeacherError if names, dtypes or shapes are not those of teacher.json."""
    width = len(metadata["state"]["features"])
    for name, argument, batch in (("serving_default", "state", []), (_SIGNATURE, "states", [None])):
        given: dict[str, Any] = {argument: tf.TensorSpec([*batch, width], tf.float32)}
        returned = {
            coefficient: tf.TensorSpec([*batch, *shape], tf.float32)
            for coefficient, shape in metadata["coefficients"].items()
        }
        function = saved_model.signatures.get(name)
        if function is None:
            raise TeacherError(
                f"{directory} is no teacher: it has no signature {name!r}, only "
                f"{sorted(saved_model.signatures)}; give a directory that tf_l2t wrote."
            )
        found = function.structured_input_signature[1], function.structured_outputs
        if tuple(map(_plain, found)) != tuple(map(_plain, (given, returned))):
            raise TeacherError(
                f"{directory} is no teacher: its signature {name!r} takes and returns "
                f"{[_plain(specs) for specs in found]}, not "
                f"{[_plain(specs) for specs in (given, returned)]}; export the teacher again."
            )


def _plain(specs: dict[str, Any]) -> dict[str, tuple[str, list[int | None]]]:
    return {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in sorted(specs.items())}
