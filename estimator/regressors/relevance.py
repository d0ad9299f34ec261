"""Which features have to do with the power: how well each alone explains it, on a line."""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.regressors.batch import Batch

HALF_LIFE_SECONDS: Final = 1800.0
"""Half-life of a round's influence."""

_DOUBT: Final = 10.0
"""As if so many rounds had shown that all features matter alike."""
_LEAST: Final = 0.01
"""Nothing matters less than that beside the best feature."""
_NOISE: Final = 1e-9
"""What varies less than that beside its square is constant."""


class Relevance:
    """How much each of F features matters beside the best of them, for C components.

    It is the part of a component's variance that a line of the feature alone explains, divided by
    the greatest such part of any feature; of the components, that which the feature matters most
    for counts. A round is one observation, the mean of its rows.
    """

    def __init__(self, features: int, components: int) -> None:
        self._features, self._components = features, components
        self._sums = np.zeros(1 + 2 * features + 2 * components + features * components)
        self._at_seconds: float | None = None

    def learn(self, batch: Batch) -> Floats:
        """How much the features matter [B, F], above 0 and up to 1, after each round."""
        rows, watts = batch.rows, batch.watts
        products = (rows[:, :, None] * watts[:, None, :]).reshape(len(rows), -1)
        ones = np.ones((len(rows), 1))
        terms = batch.means(
            np.concatenate([ones, rows, rows * rows, watts, watts * watts, products], axis=1)
        )
        found = np.empty_like(terms)
        for number, at in enumerate(batch.at):
            np.multiply(self._sums, self._kept(at / 1000), out=found[number])
            found[number] += terms[number]
            self._sums = found[number]
        self._sums = self._sums.copy()
        return self._matters(found)

    def matters(self) -> Floats:
        """How much the features matter now: [F]."""
        matters: Floats = self._matters(self._sums[None])[0]
        return matters

    def _kept(self, at_seconds: float) -> float:
        before = at_seconds if self._at_seconds is None else self._at_seconds
        self._at_seconds = max(at_seconds, before)
        kept: float = 2.0 ** ((before - self._at_seconds) / HALF_LIFE_SECONDS)
        return kept

    def _matters(self, sums: Floats) -> Floats:
        features, components = self._features, self._components
        count = np.maximum(sums[:, :1], 1e-300)
        ends = np.cumsum([1, features, features, components, components])
        x, xx, y, yy, xy = np.split(sums / count, ends, axis=1)[1:]
        along, drawn = xx - x * x, yy - y * y
        together = xy.reshape(-1, features, components) - x[:, :, None] * y[:, None, :]
        varies = (along > _NOISE * xx)[:, :, None] & (drawn > _NOISE * yy)[:, None, :]
        explained = np.divide(
            together * together, along[:, :, None], out=np.zeros_like(together), where=varies
        )
        best = explained.max(axis=1, keepdims=True)
        shares = np.divide(explained, best, out=np.zeros_like(explained), where=best > 0).max(
            axis=2
        )
        # Where no component varies with any feature, nothing is known of them.
        shares = np.where((best > 0).any(axis=2), shares, 1.0)
        matters: Floats = np.maximum((count * shares + _DOUBT) / (count + _DOUBT), _LEAST)
        return matters

    def absorb(self, other: Relevance) -> None:
        """Add what another knows, both as of the later one's time."""
        if other._at_seconds is None:
            return
        at_seconds = max(other._at_seconds, self._at_seconds or other._at_seconds)
        passed = other._at_seconds - at_seconds
        self._sums = self._sums * self._kept(at_seconds)
        self._sums += other._sums * 2.0 ** (passed / HALF_LIFE_SECONDS)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"sums": self._sums, "at_seconds": self._at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._sums, self._at_seconds = state["sums"].copy(), state["at_seconds"]
