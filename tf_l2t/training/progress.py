"""One line that tells how far a phase has come, from its first second on."""

from __future__ import annotations

import sys
from types import TracebackType

import tqdm

from tf_l2t.differentiation.replicas import Replicas
from tf_l2t.differentiation.workers import Workers
from tf_l2t.training import interruption


class Progress:
    """A bar of student steps: done, a second, time left, and the latest dev measure.

    Args:
        label: what is under way.
        total: student steps to do, forward and in reverse.
        done: student steps that an earlier process did.
        replicas: the workers, of which the chief alone shows the bar. It counts its own steps,
            and takes the others to be as fast.
    """

    def __init__(
        self, label: str, total: int, done: int = 0, replicas: Replicas | None = None
    ) -> None:
        terminal = sys.stderr.isatty()
        workers = replicas.workers if replicas else Workers()
        self._factor = 1 if replicas and replicas.num_parts > 1 else workers.count
        self._bar = tqdm.tqdm(
            disable=workers.index > 0,
            desc=label,
            total=total,
            initial=done,
            unit=" steps",
            dynamic_ncols=terminal,
            mininterval=0.2 if terminal else 15,
            maxinterval=1 if terminal else 30,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def steps(self, count: int) -> None:
        """Counts student steps that were done."""
        if interruption.requested.is_set():
            raise KeyboardInterrupt
        self._bar.update(min(self._factor * count, self._bar.total - self._bar.n))

    def skip(self, count: int) -> None:
        """Counts student steps that an earlier process did."""
        self._bar.update(count)

    def note(self, text: str) -> None:
        """Shows a text behind the bar."""
        self._bar.set_postfix_str(text, refresh=False)

    def write(self, text: str) -> None:
        """Prints a line above the bar."""
        if not self._bar.disable:
            self._bar.write(text, file=sys.stderr)
