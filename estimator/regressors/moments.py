"""The sufficient statistics of forgetting ridge regressions, and their solutions.

A = sum of discounted z zᵀ and b = sum of discounted z y say everything that a ridge regression
needs of the past. They cannot diverge, and those of two shards add up.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.expansion import expansion

_FAINTEST: Final = 1e-6
"""Forgetting never leaves less than that of one sample's weight: after a long silence the old
is still the best there is, until something new has come."""


class Moments:
    """Discounted second moments of D terms and C targets, at several half-lives at once.

    Features are divided by powers of two not below their greatest value so far; when one grows,
    the statistics are rescaled, which is exact in binary floating point.
    """

    def __init__(
        self, features: int, targets: int, half_lives_seconds: tuple[float, ...], order: int
    ) -> None:
        self.order = order
        self.expansion = expansion(features, order)
        self.half_lives = np.array(half_lives_seconds, dtype=np.float64)
        count, terms = len(half_lives_seconds), self.expansion.terms
        self.scales = np.zeros(features)
        self.a = np.zeros((count, terms, terms))
        self.b = np.zeros((count, terms, targets))
        self.at_seconds: float | None = None

    def add(self, rows: Floats, targets: Floats, at_seconds: float) -> None:
        """Discount what is known by the time that has passed and add rows [K, F], [K, C]."""
        self._forget(at_seconds)
        self._widen(np.maximum.reduce(np.abs(rows)))
        terms = self.expansion.expand(rows / self._divisors())
        self.a += terms.T @ terms
        self.b += terms.T @ targets

    def forget(self) -> None:
        """Scale the sums of each half-life down to the weight that the shortest one's have.

        What they know of rarely seen features stays, but new samples soon outweigh it.
        """
        weight = self.a[:, 0, 0]
        shortest = weight[int(np.argmin(self.half_lives))]
        kept = np.minimum(1.0, shortest / np.where(weight > 0, weight, 1.0))
        self.a *= kept[:, None, None]
        self.b *= kept[:, None, None]

    def solve(self, penalty: float) -> tuple[Floats, Floats]:
        """Coefficients of the linear and of the full terms: [H, 1+F, C] and [H, D, C].

        The penalty is relative to the weight of the samples, so that it means the same for one
        node and for a thousand; the constant term goes without.
        """
        linear = self.expansion.linear_terms
        weight = self.a[:, 0, 0]
        ridge = self.a.copy()
        terms = np.arange(self.expansion.terms)
        ridge[:, terms, terms] += (penalty * weight)[:, None]
        ridge[:, 0, 0] = weight
        lines = _solved(ridge[:, :linear, :linear], self.b[:, :linear])
        if self.expansion.terms == linear:
            return lines, lines
        return lines, _solved(ridge, self.b)

    def frozen_scales(self) -> Floats:
        """What features must be divided by before the coefficients apply: [F]."""
        return self._divisors()

    def _divisors(self) -> Floats:
        return np.where(self.scales > 0, self.scales, 1.0)

    def _forget(self, at_seconds: float) -> None:
        if self.at_seconds is None:
            self.at_seconds = at_seconds
            return
        passed = at_seconds - self.at_seconds
        if passed <= 0:  # A sample that came late is learned as if it were new.
            return
        self.at_seconds = at_seconds
        weight = self.a[:, 0, 0]
        faintest = np.minimum(1.0, _FAINTEST / np.maximum(weight, _FAINTEST))
        kept = np.maximum(np.exp2(-passed / self.half_lives), faintest)
        self.a *= kept[:, None, None]
        self.b *= kept[:, None, None]

    def _widen(self, greatest: Floats) -> None:
        if np.logical_and.reduce(greatest <= self.scales):
            return
        needed = np.exp2(np.ceil(np.log2(np.where(greatest > 0, greatest, 1.0))))
        scales = np.where(greatest > self.scales, needed, self.scales)
        # Where there was no scale, the sums are zeros: any ratio will do.
        ratio = np.where(self.scales > 0, self.scales, scales) / np.where(scales > 0, scales, 1.0)
        factors = self.expansion.expand(ratio[None])[0]
        self.a *= factors[:, None] * factors
        self.b *= factors[:, None]
        self.scales = scales

    def absorb(self, other: Moments) -> None:
        """Add what another of the same shape knows, both as of the later one's time."""
        if other.at_seconds is None:
            return
        added = Moments(len(other.scales), other.b.shape[2], tuple(other.half_lives), other.order)
        added.restore(other.state())
        at_seconds = max(added.at_seconds or 0.0, self.at_seconds or added.at_seconds or 0.0)
        for part in (self, added):
            part._forget(at_seconds)
        self._widen(added.scales)
        added._widen(self.scales)
        self.a += added.a
        self.b += added.b

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"scales": self.scales, "a": self.a, "b": self.b, "at_seconds": self.at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self.scales, self.a, self.b = state["scales"], state["a"].copy(), state["b"].copy()
        self.at_seconds = state["at_seconds"]


def _solved(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.linalg.solve(a, b), dtype=np.float64)
