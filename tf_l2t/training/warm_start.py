"""Students as they are after their warm start, which all losses share."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from tf_l2t.training.warm_start_name import warm_start_name
from tf_l2t.types import StudentState

if TYPE_CHECKING:
    from tf_l2t.training.rollout import Teaching

MOST_KEPT = 16
"""Students whose warm start is kept where nothing else is said."""

_PAUSE = 0.5
"""Seconds between two looks at whether another process is done."""


class Warmed(NamedTuple):
    """A student after its warm start."""

    state: StudentState
    kept_seconds: float
    """What is to be added to the time of the call that returned it, so that its warm start counts
    as if the call had made it: what it took if it was made before, for another loss or trial."""


class Made(NamedTuple):
    """A student as it is kept, without slots: those of cross entropy are not read after it."""

    weights: list[np.ndarray]
    variables: list[np.ndarray]
    seconds: float
    """What its warm start took."""


class WarmStartStore(Protocol):
    """Keeps warm starts for other processes, and for this command when it goes on.

    Attributes:
        used: what results.json says of those that were loaded or saved, by name.
    """

    used: dict[str, dict[str, Any]]

    def claim(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """Returns a context that tells whether no other process makes this one, and keeps it so."""

    def load(self, name: str) -> Made | None:
        """Returns what was saved, None if that is not there."""

    def save(self, name: str, made: Made) -> None:
        """Keeps a student under a name."""


class WarmStart:
    """Trains students to the end of their warm start, and keeps the last ones.

    A warm start depends on the seed and not on the loss that follows, so that a student that is
    trained again, at another learning rate, on another loss or by a teacher that has changed,
    goes on from where it was.

    Args:
        teaching: how students are trained in it; its budget is that of the warm start alone.
        most: students that are kept, in the memory of the host: those that were asked for most
            often, and of these the last ones.
        store: keeps all of them beyond this process, and beside others; None for no such thing.
        ahead: seeds of students that will be asked for, made while another process makes the one
            that is wanted.

    Raises:
        ValueError: if a store is given and the student cannot be kept in it.
    """

    def __init__(
        self,
        teaching: Teaching,
        most: int = MOST_KEPT,
        store: WarmStartStore | None = None,
        ahead: Iterable[int] = (),
    ) -> None:
        self.num_steps = teaching.budget.num_steps
        self._teaching = teaching
        self._most = most
        self._store = store
        self._ahead = list(ahead)
        self._names: dict[int, str] = {}
        self._kept: dict[int, Made] = {}
        self._asked: collections.Counter[int] = collections.Counter()
        if store:
            # A student that has no name is refused before any work.
            for seed in self._ahead[:1]:
                self._name(seed)

    def __call__(
        self, seeds: Sequence[int], on_steps: Callable[[int], None] | None = None
    ) -> list[Warmed]:
        """Returns the students of some seeds, trained side by side where they are new.

        Args:
            seeds: one a student, at most `replicas.students_at_once`.
            on_steps: called with numbers of student steps, kept ones among them.
        """
        start = time.perf_counter()
        self._asked.update(seeds)
        kept = {seed: self._kept[seed] for seed in seeds if seed in self._kept}
        if on_steps and kept:
            on_steps(len(kept) * self.num_steps)
        missing = [seed for seed in seeds if seed not in kept]
        if not self._store:
            made = self._make(missing, on_steps)
            seconds = dict.fromkeys(made, 0.0)
        else:
            made = self._made_by_any(self._store, missing, on_steps)
            elapsed = time.perf_counter() - start
            seconds = {seed: each.seconds - elapsed for seed, each in made.items()}
        while len(self._kept) > self._most:
            # The first of those that were asked for least.
            del self._kept[min(self._kept, key=self._asked.__getitem__)]
        seconds |= {seed: each.seconds for seed, each in kept.items()}
        kept |= made
        return [Warmed(_on_device(kept[seed]), seconds[seed]) for seed in seeds]

    def _make(
        self, seeds: Sequence[int], on_steps: Callable[[int], None] | None = None
    ) -> dict[int, Made]:
        """Trains students side by side."""
        if not seeds:
            return {}
        start = time.perf_counter()
        lessons = self._teaching.roll_out_each([], seeds, on_steps=on_steps)
        # Waits for an accelerator to finish.
        lessons[-1].rollout.state.weights[-1].numpy()
        seconds = time.perf_counter() - start
        for seed, lesson in zip(seeds, lessons, strict=True):
            state = lesson.rollout.state
            weights, variables = (
                [each.numpy() for each in part] for part in (state.weights, state.variables)
            )
            self._kept[seed] = Made(weights, variables, seconds)
        return {seed: self._kept[seed] for seed in seeds}

    def _made_by_any(
        self,
        store: WarmStartStore,
        seeds: Sequence[int],
        on_steps: Callable[[int], None] | None,
    ) -> dict[int, Made]:
        """Returns students that this process trains, or another one has or does."""
        found: dict[int, Made] = {}
        while missing := [seed for seed in seeds if seed not in found]:
            found |= (new := self._step(store, missing, on_steps))
            later = (seed for seed in self._ahead if seed not in self._kept)
            # The first of these that is there or can be made, and then another look.
            if not new and not any(self._step(store, [seed]) for seed in later):
                time.sleep(_PAUSE)
        return found

    def _step(
        self,
        store: WarmStartStore,
        seeds: Sequence[int],
        on_steps: Callable[[int], None] | None = None,
    ) -> dict[int, Made]:
        """Returns those that are there now, and those that nobody else makes, made and saved."""
        with contextlib.ExitStack() as claims:
            there: dict[int, Made] = {}
            ours: list[int] = []
            for seed in seeds:
                claimed = claims.enter_context(store.claim(self._name(seed)))
                # After the claim: whoever had it may have saved it and left.
                if (made := store.load(self._name(seed))) is not None:
                    there[seed] = made
                elif claimed:
                    ours.append(seed)
            self._kept |= there
            if there and on_steps:
                on_steps(len(there) * self.num_steps)
            made_now = self._make(ours, on_steps)
            for seed, made in made_now.items():
                store.save(self._name(seed), made)
            return there | made_now

    def _name(self, seed: int) -> str:
        if seed not in self._names:
            self._names[seed] = warm_start_name(self._teaching, seed)
        return self._names[seed]


def _on_device(made: Made) -> StudentState:
    return tf.nest.map_structure(tf.constant, StudentState(made.weights, (), made.variables))
