"""How much each expert has to say, by how wrong it was lately, at every horizon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.vocabulary import HORIZONS

MEMORY_SECONDS: Final = (30.0, 120.0, 300.0, 600.0)
"""Half-life of an error's influence at each horizon: the longer ahead, the longer the memory."""

SHARPNESS: Final = 4.0
"""A weight is the error to the power of minus this, over the sum of all."""

_SMALLEST_WATTS: Final = 1e-3
"""Errors below a milliwatt are noise: nobody is infinitely better for being exact once."""

_LEAST_GAIN: Final = 1e-4
"""Several rounds at one time, and late ones, count a little too: no first one counts for ever."""


class Weighing:
    """Recent absolute errors of E experts for C components at H horizons, and their weights."""

    def __init__(self, experts: int, components: int) -> None:
        self._watts = np.full((len(HORIZONS), experts, components), np.nan)
        self._at_seconds: list[float | None] = [None] * len(HORIZONS)

    def update(self, horizons: Sequence[int], wrong: Floats, at_seconds: float) -> None:
        """Take in absolute errors [H', K, E, C] in watts of what was said at some horizons."""
        watts = np.add.reduce(wrong, axis=1) / wrong.shape[1]
        for horizon, now in zip(horizons, watts, strict=True):
            before = self._at_seconds[horizon]
            self._at_seconds[horizon] = at_seconds if before is None else max(at_seconds, before)
            if before is None:
                self._watts[horizon] = now
                continue
            passed = max(at_seconds - before, 0.0)
            gained = max(1.0 - 2.0 ** (-passed / MEMORY_SECONDS[horizon]), _LEAST_GAIN)
            self._watts[horizon] += gained * (now - self._watts[horizon])

    def absorb(self, other: Weighing, share: float) -> None:
        """Mix in another's errors, with that share of the say."""
        for horizon, at in enumerate(other._at_seconds):
            if at is None:
                continue
            ours = self._at_seconds[horizon]
            self._at_seconds[horizon] = at if ours is None else max(at, ours)
            part = 1.0 if ours is None else share
            kept = 0.0 if ours is None else (1.0 - part) * self._watts[horizon]
            self._watts[horizon] = kept + part * other._watts[horizon]

    def weights(self) -> Floats:
        """Weights [H, E, C], adding up to 1 over experts; nearer horizons stand in for missing."""
        watts = self._watts
        for horizon, at in enumerate(self._at_seconds):
            if at is None:
                watts = watts.copy() if watts is self._watts else watts
                watts[horizon] = watts[horizon - 1] if horizon else 1.0
        strength = (watts + _SMALLEST_WATTS) ** -SHARPNESS
        weights: Floats = strength / strength.sum(axis=1, keepdims=True)
        return weights

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"watts": self._watts, "at_seconds": self._at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._watts = state["watts"].copy()
        self._at_seconds = list(state["at_seconds"])
