"""Samples of the recent past with what was said of them in time: to judge versions by."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State

WINDOW_SECONDS: Final = 600.0
LEAST_ROUNDS: Final = 40
"""So many are kept however old: of a machine that is read once a minute there are but ten in the
window, too few to compare anything."""
SPACING_SECONDS: Final = 5.0
"""Of a round that comes sooner after the one before it, nothing is kept."""
ROWS: Final = 2
"""So many samples of a round are kept, of other nodes each time."""


class Samples(NamedTuple):
    """N samples in the order of event time ``at`` (Unix ms, [N]).

    ``rows`` [N, F] are the features, ``estimated`` [N, C] the watts that the model of that moment
    said before it had seen the sample, ``measured`` [N, C] those that came out.
    """

    at: NDArray[np.int64]
    rows: Floats
    estimated: Floats
    measured: Floats

    def after(self, at: int) -> Samples:
        """Those that are newer than that."""
        newer = self.at > at
        return Samples(
            self.at[newer], self.rows[newer], self.estimated[newer], self.measured[newer]
        )


class _Round(NamedTuple):
    at: int
    rows: Floats
    estimated: Floats
    measured: Floats


class RecentSamples:
    """The samples of the last `WINDOW_SECONDS`, thinned, of a model of F features, C components.

    There are never more than 242 of them. What is kept depends on the samples only.
    """

    def __init__(self, features: int, components: int) -> None:
        self._shape = features, components
        self._rounds: deque[_Round] = deque()
        self._next = 0

    def note(self, rows: Floats, estimated: Floats, measured: Floats, at: int) -> None:
        """Remember some of a round [K, F], [K, C] and [K, C]; forget what is too old."""
        passed = at - self._rounds[-1].at if self._rounds else math.inf
        if passed < -WINDOW_SECONDS * 1000:
            self._rounds.clear()  # The times before were wrong: they must not block what follows.
        elif passed < SPACING_SECONDS * 1000:
            return
        count = len(rows)
        # Evenly spread, and starting elsewhere each time, so that every node has its turn.
        start, step = self._next % count, max(count // ROWS, 1)
        places = [(start + step * number) % count for number in range(min(ROWS, count))]
        self._next += 1
        self._rounds.append(_Round(at, rows[places], estimated[places], measured[places]))
        oldest = at - WINDOW_SECONDS * 1000
        while self._rounds[0].at < oldest and len(self._rounds) > LEAST_ROUNDS:
            self._rounds.popleft()

    @property
    def samples(self) -> Samples:
        """All that are there."""
        return together([self])

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {**self.samples._asdict(), "next": self._next}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._next = int(state["next"])
        self._rounds.clear()
        at, *parts = (state[name] for name in Samples._fields)
        starts = np.flatnonzero(np.diff(at, prepend=at[:1] - 1))
        for start, end in pairwise([*starts, len(at)]):
            self._rounds.append(_Round(int(at[start]), *(part[start:end] for part in parts)))


def together(several: Sequence[RecentSamples]) -> Samples:
    """The samples of several, of one shape, as one; where times are equal in their order."""
    features, components = several[0]._shape
    rounds = [over for recent in several for over in recent._rounds]
    if not rounds:
        none = np.zeros((0, components))
        return Samples(np.zeros(0, np.int64), np.zeros((0, features)), none, none)
    at = np.repeat([over.at for over in rounds], [len(over.rows) for over in rounds])
    order = np.argsort(at, kind="stable")
    parts = (np.concatenate([over[part] for over in rounds]) for part in (1, 2, 3))
    return Samples(at[order], *(part[order] for part in parts))
