"""The guard of a teacher's training: which hypergradients to believe, and how far to step."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import Any

from tf_l2t.checks import not_negative, positive, whole_number


@dataclasses.dataclass
class TrustRegion:
    """Judges hypergradients by their norm, and adapts the size of the teacher's steps.

    A hypergradient is *refused* if it is not finite, if its norm is beyond `refuse_factor` times
    the median of the last accepted ones, or if the reverse pass amplified the adjoint,
    |λ_0|/|λ_T|, beyond `max_amplification` (training at the edge of stability: chaos), or if the
    student did worse on dev than the last ones by more than `max_score_drop`. One beyond
    `clip_factor` times the median is scaled down to it. After a refused teacher step the scale of
    steps halves; after `regrow_after` accepted ones in a row it doubles, up to 1.

    Attributes:
        clip_factor: of the median norm, beyond which a hypergradient is scaled down.
        refuse_factor: of the median norm, beyond which it is refused.
        max_amplification: of the adjoint, beyond which it is refused.
        max_score_drop: of the dev score, in [0, 1], below the median of the last accepted ones.
        regrow_after: accepted steps in a row that let the scale grow again.
        max_refused_in_a_row: refused steps in a row that end the training.
        memory: how many accepted norms the median is taken of.
        scale: what every teacher step is multiplied by, in (0, 1].
        accepted_in_a_row, refused_in_a_row, refused: counts of teacher steps.
        norms, scores: the last accepted ones.
    """

    clip_factor: float = 2.0
    refuse_factor: float = 20.0
    max_amplification: float = 1e4
    max_score_drop: float = 0.1
    regrow_after: int = 5
    max_refused_in_a_row: int = 8
    memory: int = 20
    scale: float = dataclasses.field(default=1.0, init=False)
    accepted_in_a_row: int = dataclasses.field(default=0, init=False)
    refused_in_a_row: int = dataclasses.field(default=0, init=False)
    refused: int = dataclasses.field(default=0, init=False)
    norms: list[float] = dataclasses.field(default_factory=list, init=False)
    scores: list[float] = dataclasses.field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.clip_factor <= self.refuse_factor:
            raise ValueError(
                "TrustRegion: 1 <= clip_factor <= refuse_factor is needed, got "
                f"clip_factor={self.clip_factor} and refuse_factor={self.refuse_factor}."
            )
        positive("TrustRegion", "max_amplification", self.max_amplification, "1e4 is usual.")
        not_negative("TrustRegion", "max_score_drop", self.max_score_drop, "1.0 allows any.")
        for name in ("regrow_after", "max_refused_in_a_row", "memory"):
            whole_number("TrustRegion", name, getattr(self, name), 1)

    def reason_to_refuse(self, norm: float, amplification: float, score: float) -> str | None:
        """Returns why a hypergradient is not to be believed, None if it is.

        Args:
            norm: of the hypergradient.
            amplification: |λ_0|/|λ_T| of the reverse pass that made it.
            score: of the student on dev, in [0, 1].
        """
        if not (math.isfinite(norm) and math.isfinite(amplification)):
            return "it is not finite"
        if amplification > self.max_amplification:
            return f"|λ_0|/|λ_T| = {amplification:.3g} is beyond {self.max_amplification:.3g}"
        if self.norms and norm > self.refuse_factor * statistics.median(self.norms):
            return (
                f"its norm {norm:.3g} is beyond {self.refuse_factor:g} times the usual "
                f"{statistics.median(self.norms):.3g}"
            )
        if self.scores and score < statistics.median(self.scores) - self.max_score_drop:
            return (
                f"the student's dev score {score:.3g} is more than {self.max_score_drop:g} below "
                f"the usual {statistics.median(self.scores):.3g}"
            )
        return None

    def clip(self, norm: float) -> float:
        """Returns the factor that brings a hypergradient of this norm within bounds."""
        if not self.norms:
            return 1.0
        return min(1.0, self.clip_factor * statistics.median(self.norms) / max(norm, 1e-30))

    def accept(self, norms: list[float], scores: list[float]) -> None:
        """Takes note of a teacher step: norms and dev scores of its believed hypergradients."""
        # One of 0 says nothing of what is usual.
        self.norms = (self.norms + [norm for norm in norms if norm > 0])[-self.memory :]
        self.scores = (self.scores + scores)[-self.memory :]
        self.refused_in_a_row = 0
        self.accepted_in_a_row += 1
        if self.accepted_in_a_row % self.regrow_after == 0:
            self.scale = min(1.0, 2 * self.scale)

    def refuse(self) -> None:
        """Takes note of a teacher step that was refused."""
        self.refused += 1
        self.refused_in_a_row += 1
        self.accepted_in_a_row = 0
        self.scale /= 2

    def forget(self) -> None:
        """Takes what was accepted for no measure of what comes: norms and dev scores.

        Those of students that train for longer are others, by nature and not by accident.
        """
        self.norms, self.scores = [], []

    @property
    def exhausted(self) -> bool:
        """Whether so many steps in a row were refused that going on is of no use."""
        return self.refused_in_a_row >= self.max_refused_in_a_row

    def state(self) -> dict[str, Any]:
        """Returns what changes, as JSON takes it."""
        return {field.name: getattr(self, field.name) for field in _changing_fields()}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` returned."""
        for field in _changing_fields():
            setattr(self, field.name, state[field.name])


def _changing_fields() -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(TrustRegion) if not field.init]
