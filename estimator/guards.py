"""What a machine has shown: the ranges within which estimates stay, and its idle power."""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.arrays import Floats, State

LOW_USAGE: Final = 0.05
"""A sample is idle enough when no rate exceeds that fraction of the greatest seen."""
ENVELOPE: Final = 0.2
"""Idle power is that quantile of the low-usage samples: low, yet no single reading's choice."""
REMEMBERED: Final = 64
"""So many of the latest low-usage samples are remembered."""


class Guards:
    """The least and the greatest of F features and C components so far."""

    def __init__(self, features: int, components: int) -> None:
        self.seen = np.stack([np.full(features, np.inf), np.full(features, -np.inf)])
        self.floor = np.full(components, np.inf)
        self.ceiling = np.full(components, -np.inf)

    def observe(self, rows: Floats, watts: Floats) -> None:
        """Widen the ranges by rows [K, F] and watts [K, C]."""
        # New arrays each time: frozen models keep the old ones.
        seen = np.empty_like(self.seen)
        np.minimum(self.seen[0], np.minimum.reduce(rows), out=seen[0])
        np.maximum(self.seen[1], np.maximum.reduce(rows), out=seen[1])
        self.seen = seen
        self.floor = np.minimum(self.floor, np.minimum.reduce(watts))
        self.ceiling = np.maximum(self.ceiling, np.maximum.reduce(watts))

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

    def observe(self, rows: Floats, watts: Floats, greatest: Floats) -> None:
        """Remember the watts [K, C] of rows [K, F] with hardly any of the greatest usage [F]."""
        busy = np.logical_or.reduce((rows > LOW_USAGE * greatest) & (self._usage > 0), axis=1)
        if busy.all():
            return
        low = watts[~busy]
        if self._outdated:
            self._remembered, self._outdated = self._remembered[:0], False
        self._remembered = np.concatenate([self._remembered, low])[-REMEMBERED:]

    def forget(self) -> None:
        """Believe what is remembered only until the machine is seen near idle again."""
        self._outdated = True

    def watts(self, otherwise: Floats) -> Floats:
        """Idle power [C], or ``otherwise`` where the machine was never seen near idle."""
        if not len(self._remembered):
            return otherwise
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
        self._outdated = state.get("outdated", False)
