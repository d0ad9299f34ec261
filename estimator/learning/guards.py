"""What a machine has shown: the ranges within which estimates stay, and its idle power."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.regressors.batch import Batch

BELIEVED: Final = 10.0
"""Power that many times the greatest so far is believed when it is there a second time."""
LOW_USAGE: Final = 0.05
"""A sample is idle enough when no rate exceeds that fraction of the greatest seen."""
ENVELOPE: Final = 0.2
"""Idle power is that quantile of the low-usage samples: low, yet no single reading's choice."""
REMEMBERED: Final = 64
"""So many of the latest low-usage samples are remembered."""


class Ranges(NamedTuple):
    """What guards were after each of B rounds: seen [B, 2, F], floor and ceiling [B, C]."""

    seen: Floats
    floor: Floats
    ceiling: Floats


class Guards:
    """The least and the greatest of F features and C components so far."""

    def __init__(self, features: int, components: int) -> None:
        self.seen = np.stack([np.full(features, np.inf), np.full(features, -np.inf)])
        self.floor = np.full(components, np.inf)
        self.ceiling = np.full(components, -np.inf)

    def observe(self, batch: Batch) -> Ranges:
        """Widen the ranges round by round."""
        # New arrays each time: frozen models keep the old ones.
        low = np.minimum(batch.least(batch.rows), self.seen[0])
        high = np.maximum(batch.greatest(batch.rows), self.seen[1])
        floor = np.minimum(batch.least(batch.watts), self.floor)
        ceiling = np.maximum(batch.greatest(batch.watts), self.ceiling)
        if len(batch) > 1:
            low, high = np.minimum.accumulate(low), np.maximum.accumulate(high)
            floor, ceiling = np.minimum.accumulate(floor), np.maximum.accumulate(ceiling)
        ranges = Ranges(np.stack([low, high], axis=1), floor, ceiling)
        self.seen, self.floor, self.ceiling = (part[-1].copy() for part in ranges)
        return ranges

    def beyond_belief(self, watts: Floats) -> NDArray[np.bool_]:
        """Which rows of watts [K, C] have a component many times as high as ever before."""
        if not np.isfinite(self.ceiling).all():
            return np.zeros(len(watts), dtype=np.bool_)
        far: NDArray[np.bool_] = np.logical_or.reduce(watts > BELIEVED * self.ceiling, axis=1)
        return far

    def absorb(self, other: Guards) -> None:
        """Widen the ranges by another's."""
        low = np.minimum(self.seen[0], other.seen[0])
        self.seen = np.stack([low, np.maximum(self.seen[1], other.seen[1])])
        self.floor = np.minimum(self.floor, other.floor)
        self.ceiling = np.maximum(self.ceiling, other.ceiling)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"seen": self.seen, "floor": self.floor, "ceiling": self.ceiling}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self.seen, self.floor, self.ceiling = state["seen"], state["floor"], state["ceiling"]


class Idle:
    """Idle power of C components: the lower envelope of samples with hardly any usage.

    ``usage`` [F] says which features are usage; levels such as a frequency are never near zero.
    """

    def __init__(self, components: int, usage: Floats) -> None:
        self._usage = usage
        self._remembered = np.empty((0, components))
        self._outdated = False

    def observe(self, batch: Batch, ranges: Ranges) -> list[Floats]:
        """Remember the watts of rows with hardly any of the greatest usage; idle [C] after each.

        Where the machine was never seen near idle, that is the least that it drew.
        """
        greatest = ranges.seen[:, 1][batch.round_of_row]
        busy = (batch.rows > LOW_USAGE * greatest) & (self._usage > 0)
        low: NDArray[np.bool_] = ~np.logical_or.reduce(busy, axis=1)
        if not low.any():
            now = self.watts()
            return list(ranges.floor) if now is None else [now] * len(batch)
        idle, now = [], self.watts()
        for number, part in enumerate(batch.parts()):
            if low[part].any():
                watts = batch.watts[part][low[part]]
                if self._outdated:
                    self._remembered, self._outdated = self._remembered[:0], False
                self._remembered = np.concatenate([self._remembered, watts])[-REMEMBERED:]
                now = self.watts()
            idle.append(ranges.floor[number] if now is None else now)
        return idle

    def forget(self) -> None:
        """Believe what is remembered only until the machine is seen near idle again."""
        self._outdated = True

    def watts(self) -> Floats | None:
        """Idle power [C]; None where the machine was never seen near idle."""
        if not len(self._remembered):
            return None
        ordered = np.sort(self._remembered, axis=0)
        envelope: Floats = ordered[int(ENVELOPE * (len(ordered) - 1))]
        return envelope

    def absorb(self, other: Idle) -> None:
        """Remember another's samples beside ours, evenly thinned to as many as one remembers."""
        both = np.concatenate([self._remembered, other._remembered])
        kept = np.linspace(0, len(both) - 1, min(len(both), REMEMBERED)).round().astype(np.intp)
        self._remembered = both[kept]

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"remembered": self._remembered, "outdated": self._outdated}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._remembered = state["remembered"]
        self._outdated = state["outdated"]


class NoIdle(Idle):
    """Idle power of what is above idle: none."""

    def observe(self, batch: Batch, ranges: Ranges) -> list[Floats]:  # noqa: ARG002 - it is zero
        """Zeros [C] after each round."""
        return [np.zeros(self._remembered.shape[1])] * len(batch)

    def watts(self) -> Floats:
        """Zeros [C]."""
        return np.zeros(self._remembered.shape[1])
