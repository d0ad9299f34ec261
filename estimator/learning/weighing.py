"""How much each expert has to say, by how wrong it was lately, at every horizon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.vocabulary import HORIZONS

MEMORY_SECONDS: Final = (30.0, 120.0, 300.0, 900.0)
"""Half-life of an error's influence at each horizon: the longer ahead, the longer the memory."""

SHARPNESS: Final = 5
"""A weight is the error to the power of minus this, over the sum of all."""

_SMALLEST_WATTS: Final = 1e-3
"""Errors below a milliwatt are noise: nobody is infinitely better for being exact once."""

_LEAST_GAIN: Final = 1e-4
"""Several rounds at one time, and late ones, count a little too: no first one counts for ever."""
_MOST_GAIN: Final = 1.0 - 1e-9
"""Only the very first error has all the say."""


class Weighing:
    """Recent absolute errors of E experts for C components at H horizons, and their weights."""

    def __init__(self, experts: int, components: int) -> None:
        self._watts = np.full((len(HORIZONS), experts, components), np.nan)
        self._at_seconds: list[float | None] = [None] * len(HORIZONS)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many horizons, experts, and components there are."""
        return self._watts.shape

    def update(self, horizons: Sequence[int], wrong: Floats, at_seconds: float) -> None:
        """Take in the mean absolute errors [H', E, C] in watts of what was said at horizons."""
        gained = [self._gained(horizon, at_seconds) for horizon in horizons]
        gains = np.array(gained)[:, None, None]
        if len(horizons) == len(self._at_seconds) and max(gained) < 1.0:
            self._watts += gains * (wrong - self._watts)
            return
        for number, horizon in enumerate(horizons):
            if gained[number] >= 1.0:
                self._watts[horizon] = wrong[number]
            else:
                self._watts[horizon] += gains[number] * (wrong[number] - self._watts[horizon])

    def _gained(self, horizon: int, at_seconds: float) -> float:
        """What say an error of now has: all of it if it is the horizon's first; time moves on."""
        before = self._at_seconds[horizon]
        if before is None:
            self._at_seconds[horizon] = at_seconds
            return 1.0
        self._at_seconds[horizon] = max(at_seconds, before)
        passed = max(at_seconds - before, 0.0)
        gained: float = 1.0 - 2.0 ** (-passed / MEMORY_SECONDS[horizon])
        return min(max(gained, _LEAST_GAIN), _MOST_GAIN)

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

    def recent(self) -> Floats:
        """The recent errors [H, E, C]; nearer horizons stand in for missing ones."""
        watts = self._watts.copy()
        for horizon, at in enumerate(self._at_seconds):
            if at is None:
                watts[horizon] = watts[horizon - 1] if horizon else 1.0
        return watts

    def weights(self) -> Floats:
        """Weights [H, E, C] by the recent errors."""
        return weights_of(self.recent())

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"watts": self._watts, "at_seconds": self._at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._watts = state["watts"].copy()
        self._at_seconds = list(state["at_seconds"])


def weights_of(watts: Floats) -> Floats:
    """Weights by errors [..., E, C], adding up to 1 over experts.

    One expert after the other, so that no bit depends on what else is worked out at once.
    """
    watts = watts + _SMALLEST_WATTS
    powers = watts.copy()
    for _ in range(SHARPNESS - 1):
        powers *= watts
    strength = 1.0 / powers
    total = strength[..., 0, :].copy()
    for expert in range(1, strength.shape[-2]):
        total += strength[..., expert, :]
    weights: Floats = strength / total[..., None, :]
    return weights
