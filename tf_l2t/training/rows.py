"""A row of a comparison, and what is tried for it on dev."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_l2t.checks import instance_of, one_of, positive
from tf_l2t.losses.base import Loss
from tf_l2t.losses.cross_entropy import CrossEntropy
from tf_l2t.training.estimated import EstimatedLoss
from tf_l2t.training.recipe import Recipe

AnyLoss = Loss | EstimatedLoss
BuildTeacher = Callable[..., Any]
DATA = ("train", "dev", "train and dev")


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a student of a row may be trained with.

    Attributes:
        name: as results.json says it.
        variant: which loss or teacher of the row; "" where there is only one.
        learning_rate: peak learning rate.
    """

    name: str
    variant: str
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the comparison: a loss, and what to try for it on dev.

    Attributes:
        name: as the table shows it.
        loss: the loss; or several by name, such as {"epsilon 0.1": …, "epsilon 0.2": …}, of which
            the best on dev is used.
        learning_rates: peak learning rates, tried with each of them; the best on dev is used.
            Every row of a configuration should have as many trials.
        teacher: builds a teacher that sets the coefficients and is not trained, such as
            `fixed_teacher`; or several by name; None for a fixed loss.
        trained_on: "train"; "dev", what the dev data alone would give; or "train and dev". Where
            it holds dev data, the search holds a fifth of them back to choose by, and the
            students of the table train on all of them.
        recipe: how its students are optimised; that of the experiment if None. An L2 penalty that
            suits one loss is too strong for another whose gradients are smaller.

    Raises:
        ValueError: for a rate that is not positive, losses and teachers that both come in
            variants, other data, or a recipe that is none.
    """

    name: str
    loss: AnyLoss | Mapping[str, AnyLoss]
    learning_rates: Sequence[float]
    teacher: BuildTeacher | Mapping[str, BuildTeacher] | None = None
    trained_on: str = "train"
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rates, Sequence) or not self.learning_rates:
            raise ValueError(
                f"Row {self.name!r}: learning_rates must be a sequence of at least one, such as "
                f"(0.05, 0.1), got {self.learning_rates!r}."
            )
        for rate in self.learning_rates:
            positive(f"Row {self.name!r}", "learning_rates", rate, "0.01 to 1.0 is usual.")
        if isinstance(self.loss, Mapping) and isinstance(self.teacher, Mapping):
            raise ValueError(
                f"Row {self.name!r}: loss and teacher must not both be several; make it two rows."
            )
        for argument, value in (("loss", self.loss), ("teacher", self.teacher)):
            if isinstance(value, Mapping) and not value:
                raise ValueError(f"Row {self.name!r}: {argument} is empty; give at least one.")
        for loss, _ in self.variants.values():
            instance_of(f"Row {self.name!r}", "loss", loss, AnyLoss)
        if self.is_estimated and self.teacher is not None:
            raise ValueError(
                f"Row {self.name!r}: loss is estimated and takes nothing from a teacher; leave "
                "teacher None."
            )
        names = [trial.name for trial in self.trials]
        if len(set(names)) < len(names):
            raise ValueError(f"Row {self.name!r}: learning_rates has a rate twice, got {names}.")
        one_of(f"Row {self.name!r}", "trained_on", self.trained_on, DATA)
        if self.recipe is not None:
            instance_of(f"Row {self.name!r}", "recipe", self.recipe, Recipe)

    @property
    def variants(self) -> dict[str, tuple[AnyLoss, BuildTeacher | None]]:
        """Loss and teacher of each variant, by its name."""
        if isinstance(self.loss, Mapping):
            assert not isinstance(self.teacher, Mapping)
            return {name: (loss, self.teacher) for name, loss in self.loss.items()}
        if isinstance(self.teacher, Mapping):
            return {name: (self.loss, teacher) for name, teacher in self.teacher.items()}
        return {"": (self.loss, self.teacher)}

    @property
    def is_estimated(self) -> bool:
        """Whether a loss of it is estimated with a student of another row."""
        return any(isinstance(loss, EstimatedLoss) for loss, _ in self.variants.values())

    @property
    def is_plain_cross_entropy(self) -> bool:
        """Whether its students show what others are estimated with."""
        (loss, *others) = [loss for loss, _ in self.variants.values()]
        return type(loss) is CrossEntropy and not others and self.trained_on == "train"

    @property
    def trials(self) -> list[Trial]:
        """Every variant at every rate."""
        return [
            Trial(f"{variant}, {rate:g}" if variant else f"{rate:g}", variant, rate)
            for variant in self.variants
            for rate in self.learning_rates
        ]
