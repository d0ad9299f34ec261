"""Curves that Kepler can evaluate, learned incrementally by way of a histogram.

A curve's height and offset are linear, its steepness and middle are not. So the samples are summed
in bins of one feature, which forget, merge and cannot diverge; and when a curve is asked for, a
grid of shapes is tried, with the best height and offset of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.artifacts.kepler_curves import EXPONENTIAL, LOGARITHMIC, LOGISTIC, Curve
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch

BINS: Final = 64
HALF_LIFE_SECONDS: Final = 1800.0
"""Kepler fetches weights once and keeps them, so they are those of a long memory."""

MAIN_FEATURES: Final = ("cpu_cycles", "cpu_instructions", "bpf_cpu_time_ms")
"""What a curve is of, the first that there is: Kepler 0.9 applies curves to ``cpu_cycles``."""


class Shapes(NamedTuple):
    """Curves of height 1 and offset 0 on z from 0 to 1, by trainer."""

    trainer: str
    parameters: Sequence[tuple[float, ...]]

    def values(self, z: Floats) -> Floats:
        """Each shape at each z: [N, B]."""
        columns = np.array(self.parameters).T[:, :, None]
        if self.trainer == LOGISTIC:
            middle, steepness = columns
            return np.asarray(1.0 / (1.0 + np.exp(-steepness * (z - middle))))
        if self.trainer == LOGARITHMIC:
            return np.asarray(np.log1p(columns[0] * z))
        return np.asarray(np.exp(columns[0] * z))


@cache
def shapes() -> tuple[Shapes, ...]:
    """The grid of shapes that are tried, a few hundred in all."""
    middles, steep = np.linspace(0.0, 1.0, 21), np.geomspace(1.0, 40.0, 24)
    pairs = [(float(middle), float(steepness)) for middle in middles for steepness in steep]
    bends = [(float(bend),) for bend in np.geomspace(0.05, 500.0, 80)]
    powers = [(float(power),) for power in np.geomspace(0.02, 8.0, 80)]
    return Shapes(LOGISTIC, pairs), Shapes(LOGARITHMIC, bends), Shapes(EXPONENTIAL, powers)


class CurveBank:
    """A bank without experts: it learns the curves of one feature, for Kepler alone.

    Curves of one feature are poorer than the other experts, so models do not listen to them.
    """

    names: tuple[str, ...] = ()

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        found = [features.index(one) for one in MAIN_FEATURES if one in features]
        self._column = found[0] if found else None
        self.feature = None if self._column is None else features[self._column]
        self._features = len(features)
        self._scale = 0.0
        # Of each bin: the weight of its samples, their z, their watts.
        self._sums = np.zeros((2 + len(components), BINS))
        self._at_seconds: float | None = None

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        """Learn the rounds one after the other; no expert says anything."""
        for part, at in zip(batch.parts(), batch.at, strict=True):
            self.learn_many(batch.rows[part], batch.watts[part], at / 1000)
        return [self.freeze()] * len(batch)

    def learn_many(self, rows: Floats, watts: Floats, at_seconds: float) -> None:
        """Learn a round: rows [K, F] of rates, watts [K, C], at one event time."""
        if self._column is None:
            return
        self._forget(at_seconds)
        x = rows[:, self._column]
        self._widen(float(np.maximum.reduce(x)))
        z = x / (self._scale or 1.0)
        places = np.minimum((z * BINS).astype(np.intp), BINS - 1)
        added = np.concatenate([np.ones((1, len(z))), z[None], watts.T])
        np.add.at(self._sums.T, places, added.T)

    def curves(self, greatest_at_rest: Floats) -> dict[str, list[Curve]]:
        """By trainer the best curve of each component; none before anything was learned.

        No curve is negative anywhere: heights are not, and at rest it says ``greatest_at_rest``
        [C] watts at most.
        """
        filled = self._sums[0] > 0
        if self.feature is None or not filled.any():
            return {}
        weight, sums = self._sums[0, filled], self._sums[1:, filled]
        z, watts = sums[0] / weight, sums[1:] / weight
        return {
            shape.trainer: [
                self._best(shape, z, weight, target, max(float(most), 0.0))
                for target, most in zip(watts, greatest_at_rest, strict=True)
            ]
            for shape in shapes()
        }

    def _best(
        self, shape: Shapes, z: Floats, weight: Floats, watts: Floats, most_at_rest: float
    ) -> Curve:
        """The shape, height and offset of the least squared error, at rest within its bounds."""
        rest = shape.values(np.zeros(1))
        rises = shape.values(z) - rest
        share = weight / weight.sum()
        mean = rises @ share
        apart = rises - mean[:, None]
        spread = (apart * apart) @ share
        usual = float(watts @ share)
        height = np.maximum((apart @ (share * (watts - usual))) / np.maximum(spread, 1e-12), 0.0)
        at_rest = np.clip(usual - height * mean, 0.0, most_at_rest)
        # Where a bound was met, the height that is best with it.
        again = (rises @ (share * watts) - at_rest * mean) / np.maximum((rises**2) @ share, 1e-12)
        height = np.where(at_rest == usual - height * mean, height, np.maximum(again, 0.0))
        wrong = (at_rest[:, None] + height[:, None] * rises - watts) ** 2 @ share
        best = int(np.argmin(wrong))
        offset = float(at_rest[best] - height[best] * rest[best, 0])
        assert self.feature is not None  # noqa: S101 - `curves` has looked
        return Curve(
            self.feature,
            self._scale or 1.0,
            [float(height[best]), *shape.parameters[best], offset],
        )

    def _forget(self, at_seconds: float) -> None:
        if self._at_seconds is not None and at_seconds > self._at_seconds:
            self._sums *= 2.0 ** ((self._at_seconds - at_seconds) / HALF_LIFE_SECONDS)
        self._at_seconds = max(at_seconds, self._at_seconds or at_seconds)

    def _widen(self, greatest: float) -> None:
        """Scales are powers of two from 1 on: when one doubles, two bins become one.

        Rates below 1/s are worth no curve: one of such a scale would be asked far beyond it.
        """
        if greatest <= self._scale or greatest <= 0:
            return
        scale = max(1.0, float(np.exp2(np.ceil(np.log2(greatest)))))
        if self._scale == 0.0:
            self._scale = scale
            return
        while self._scale < scale:
            halves = self._sums.reshape(-1, BINS // 2, 2).sum(axis=2)
            self._sums = np.concatenate([halves, np.zeros_like(halves)], axis=1)
            self._sums[1] /= 2.0
            self._scale *= 2.0

    def freeze(self) -> FrozenPolynomials:
        """No experts."""
        none = np.zeros((0, 1 + self._features, len(self._sums) - 2))
        return FrozenPolynomials(np.ones(self._features), none, order=1)

    def absorb(self, other: Bank, share: float) -> None:  # noqa: ARG002 - sums need no share
        """Add the sums of another, both as of the later one's time."""
        if not isinstance(other, CurveBank):
            raise TypeError(f"{type(other).__name__} is no CurveBank")
        if other._at_seconds is None:
            return
        theirs = other.state()
        added = CurveBank.__new__(CurveBank)
        added.restore(theirs)
        at_seconds = max(other._at_seconds, self._at_seconds or other._at_seconds)
        for part in (self, added):
            part._forget(at_seconds)
        self._widen(added._scale)
        added._widen(self._scale)
        self._sums = self._sums + added._sums

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"scale": self._scale, "sums": self._sums, "at_seconds": self._at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._scale, self._sums = state["scale"], state["sums"].copy()
        self._at_seconds = state["at_seconds"]
