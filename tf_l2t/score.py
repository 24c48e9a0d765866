"""The score that the students of a task are judged by, and how tables and figures report it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Score:
    """A number in [0, 1] that says how good a student is: the higher, the better.

    Attributes:
        name: of the score.
        reported: name of what tables and figures show, in %.
        complement: whether that is 1 - score, such as an error.
    """

    name: str
    reported: str
    complement: bool

    @property
    def key(self) -> str:
        """What `Task.scores` and the students of results.json call it."""
        return self.name.lower()

    def scored(self, split: str) -> str:
        """Returns what a student of results.json calls its score on a split."""
        return f"{split}_{self.key}"

    def field(self, split: str) -> str:
        """Returns what a row of results.json calls mean and standard error on a split."""
        return f"{split}_{self.reported.lower()}"

    def observed(self, split: str) -> str:
        """Returns what results.json calls the curve that is observed along a training.

        Args:
            split: "training" or "dev".
        """
        return f"observed_{split}_{self.key}"

    def of(self, student: Mapping[str, Any], split: str) -> float:
        """Returns what is reported of a student of results.json."""
        return self.report(student[self.scored(split)])

    def report(self, value: Any) -> Any:
        """Returns what is reported of a score, or of an array of them."""
        return 1 - value if self.complement else value


ACCURACY = Score("accuracy", "error", complement=True)
BLEU = Score("BLEU", "BLEU", complement=False)
_BY_NAME = {score.name: score for score in (ACCURACY, BLEU)}


def score_of(results: Mapping[str, Any]) -> Score:
    """Returns the score of a results.json; accuracy where an earlier version did not say."""
    return _BY_NAME[results.get("score", ACCURACY.name)]
