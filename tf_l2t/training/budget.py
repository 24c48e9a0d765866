"""How long a student trains."""

from __future__ import annotations

import dataclasses

from tf_l2t.checks import positive, whole_number


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long every student trains, whatever its loss.

    Attributes:
        num_steps: T.
        warm_start_steps: the first so many of them are with cross entropy and without a teacher,
            whatever the loss, with the recipe of its row; what follows starts with fresh slots of
            the update rule.
        warm_start_learning_rate: peak learning rate of these steps.
        warm_start_batch_size: examples of a batch in these steps; as later if None.
        observe_every: steps between two measurements of the state vector. It is also the length
            of a segment, the least that `storage="recompute"` holds at a time.

    Raises:
        ValueError: for a value that leaves no step to teach.
    """

    num_steps: int
    warm_start_steps: int = 0
    warm_start_learning_rate: float = 0.05
    warm_start_batch_size: int | None = None
    observe_every: int = 50

    def __post_init__(self) -> None:
        whole_number("Budget", "num_steps", self.num_steps, 1)
        whole_number("Budget", "observe_every", self.observe_every, 1)
        whole_number("Budget", "warm_start_steps", self.warm_start_steps, 0)
        if self.warm_start_steps >= self.num_steps:
            raise ValueError(
                f"Budget: warm_start_steps must be below num_steps={self.num_steps}, got "
                f"{self.warm_start_steps}; leave steps to teach."
            )
        if self.warm_start_batch_size is not None:
            whole_number("Budget", "warm_start_batch_size", self.warm_start_batch_size, 1)
            if not self.warm_start_steps:
                raise ValueError(
                    f"Budget: warm_start_batch_size={self.warm_start_batch_size} is of a warm "
                    "start, and there is none; set warm_start_steps, or leave it None."
                )
        rate = self.warm_start_learning_rate
        positive("Budget", "warm_start_learning_rate", rate, "take that of cross entropy.")

    @property
    def of_warm_start(self) -> Budget:
        """That of the warm start alone."""
        return dataclasses.replace(
            self, num_steps=self.warm_start_steps, warm_start_steps=0, warm_start_batch_size=None
        )

    def check_truncation(self, truncate: int | None) -> None:
        """Checks that a truncated reverse pass begins where the state is observed anyway.

        Args:
            truncate: steps that are reversed; all if None.

        Raises:
            ValueError: if it begins between two observations.
        """
        if truncate is None:
            return
        whole_number("Experiment", "truncate", truncate, 1)
        left_out = self.num_steps - self.warm_start_steps - truncate
        if left_out > 0 and left_out % self.observe_every:
            raise ValueError(
                f"Experiment: truncate={truncate} leaves out {left_out} steps of students of "
                f"{self.num_steps}, after which the state is not observed; let them, num_steps - "
                "warm_start_steps - truncate, be a multiple of observe_every="
                f"{self.observe_every}."
            )
