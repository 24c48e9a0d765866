"""What a loss is: the interface, without an algorithm in it."""

from __future__ import annotations

import abc
import inspect
from typing import Any

import tensorflow as tf

from tf_l2t.types import Nest


class Loss(abc.ABC):
    """A loss of a student's outputs, one value an example.

    A *fixed* loss is given its coefficients by `schedule`, from the step alone; a *taught* loss
    is given them by a teacher, and `coefficient_shapes` says which it needs. A loss that learns
    something itself, such as a critic, has a *state*: a part of the student's, z_t, so that it is
    stored and replayed with it. `initial_state` says what it is at first, and `advance` takes it
    one step further and makes coefficients of it.

    Attributes:
        formula: the equation, as a reader of an exported teacher needs it.
        num_candidates: translations that it wants proposed for each example, 0 for none.
    """

    formula: str = ""
    num_candidates: int = 0

    @abc.abstractmethod
    def __call__(self, outputs: Nest, targets: Nest, coefficients: Nest) -> tf.Tensor:
        """Returns the loss of every example, [batch], in the dtype of `outputs.logits`.

        Args:
            outputs: what the student returned for the batch: `Outputs` of a classifier,
                `TranslationOutputs` of one that translates.
            targets: class indices, int32 [batch], or `TranslationTargets`.
            coefficients: what `schedule` returns or, for a taught loss, what a teacher returns;
                of a loss with a state what `advance` made of them.
        """

    def schedule(self, step: tf.Tensor) -> Nest:
        """Returns the coefficients of a fixed loss at a training step (int32 scalar)."""
        del step
        return {}

    def coefficient_shapes(self, num_classes: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape of each coefficient that a teacher must set; {} for a fixed loss."""
        del num_classes
        return {}

    def initial_state(self, num_classes: int, seed: int) -> tuple[Nest, ...]:
        """Returns the loss's own variables before a student's first step; () if it has none.

        Args:
            num_classes: classes, or words of the target vocabulary.
            seed: of the student; the state is a function of these two.
        """
        del num_classes, seed
        return ()

    def advance(
        self, state: tuple[Nest, ...], outputs: Nest, targets: Nest, coefficients: Nest
    ) -> tuple[Nest, tuple[Nest, ...]]:
        """Returns the coefficients at a step, with those that the state adds, and the next state.

        Args:
            state: what `initial_state` or the step before returned.
            outputs: as for the loss itself, of the whole batch.
            targets: as for the loss itself.
            coefficients: what `schedule` or a teacher returned.

        Returns:
            The coefficients for the loss itself, and the state in its old structure.
        """
        del outputs, targets
        return coefficients, state

    def arguments(self) -> dict[str, Any]:
        """Returns what the constructor was given, as JSON can hold it.

        `type(self)(**arguments)` equals self; where an argument is a loss, `loss_from_record`
        makes it first.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}


def coefficient(loss: Loss, name: str, coefficients: Nest, logits: tf.Tensor) -> tf.Tensor:
    """Returns a coefficient of a taught loss, checked, in the dtype of the logits.

    Raises:
        ValueError: if it is missing, or its shape is not that of the logits' classes.
    """
    classes = logits.shape[-1]
    owner = type(loss).__name__
    shape = loss.coefficient_shapes(classes)[name]
    if name not in coefficients:
        raise ValueError(
            f"{owner}: coefficients[{name!r}] is missing, got {sorted(coefficients)}; "
            f"let a teacher set the shapes of coefficient_shapes({classes})."
        )
    value = tf.cast(coefficients[name], logits.dtype)
    if not value.shape.is_compatible_with(shape):
        raise ValueError(
            f"{owner}: coefficients[{name!r}] must have shape {list(shape)} for logits "
            f"of {classes} classes, got {value.shape}; build the teacher for as many classes "
            "as the student has."
        )
    return value
