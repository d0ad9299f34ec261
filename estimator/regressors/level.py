"""The level of a curve: by how much it was wrong lately, on the mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.regressors.batch import Batch

HALF_LIFE_SECONDS: Final = 6.0
"""Half-life of an error's influence: two samples of a meter that is read every 3 s."""


class Level:
    """How far a curve must be raised for C components: the discounted mean of its errors.

    The errors are those of the next sample: of what the curve said before it learned the sample.
    What it says counts within the range of watts that there have been, as it does for a model.
    """

    def __init__(self, components: int) -> None:
        self.watts: Floats = np.zeros(components)
        self._weight = 0.0
        self._at_seconds: float | None = None
        self._last: Floats | None = None
        self._range = np.stack([np.full(components, np.inf), np.full(components, -np.inf)])

    def learn(self, batch: Batch, terms: Floats, curves: Floats) -> Floats:
        """The level [B, C] after each round.

        ``curves`` [B, D, C] are the curve's coefficients after each round, ``terms`` [R, D] the
        terms of the rows as the round before had scaled them.
        """
        first = np.zeros((1, *curves.shape[1:])) if self._last is None else self._last[None]
        said = batch.times(terms, np.concatenate([first, curves[:-1]]))
        least, most = self._ranges(batch)
        within = np.minimum(np.maximum(said, least), most)
        wrong = batch.means(batch.watts - within)
        if self._last is None:
            wrong[0] = 0.0
        levels = np.empty_like(wrong)
        for number, at in enumerate(batch.at):
            if self._last is not None or number:
                self._move(wrong[number], at / 1000)
            levels[number] = self.watts
            self._at_seconds = max(at / 1000, self._at_seconds or 0.0)
        self._last = curves[-1].copy()
        return levels

    def _move(self, wrong: Floats, at_seconds: float) -> None:
        passed = max(0.0, at_seconds - (self._at_seconds or 0.0))
        self._weight = self._weight * 2.0 ** (-passed / HALF_LIFE_SECONDS) + 1.0
        self.watts = self.watts + (wrong - self.watts) / self._weight

    def _ranges(self, batch: Batch) -> tuple[Floats, Floats]:
        """The least and the greatest watts before each round, for each row: [R, C] both."""
        least = np.concatenate([self._range[:1], batch.least(batch.watts)])
        most = np.concatenate([self._range[1:], batch.greatest(batch.watts)])
        least, most = np.minimum.accumulate(least), np.maximum.accumulate(most)
        self._range = np.stack([least[-1], most[-1]])
        return least[:-1][batch.round_of_row], most[:-1][batch.round_of_row]

    def settle(self) -> Floats:
        """By how much the curve is to be raised for good: the level [C], which is 0 from now on."""
        raised, self.watts, self._weight = self.watts, np.zeros_like(self.watts), 0.0
        if self._last is not None:
            self._last = np.concatenate([self._last[:1] + raised, self._last[1:]])
        return raised

    def absorb(self, other: Level, share: float) -> None:
        """Mix in another's level, with that share of the say."""
        self.watts = self.watts + share * (other.watts - self.watts)
        self._range = np.stack(
            [
                np.minimum(self._range[0], other._range[0]),
                np.maximum(self._range[1], other._range[1]),
            ]
        )

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {
            "watts": self.watts,
            "weight": self._weight,
            "at_seconds": self._at_seconds,
            "last": self._last,
            "range": self._range,
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self.watts, self._weight = state["watts"], state["weight"]
        self._at_seconds, self._last = state["at_seconds"], state["last"]
        self._range = state["range"]
