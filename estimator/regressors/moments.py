"""The sufficient statistics of forgetting ridge regressions, and their solutions.

A = sum of discounted z zᵀ and b = sum of discounted z y say everything that a ridge regression
needs of the past. They cannot diverge, and those of two shards add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.expansion import expansion
from estimator.regressors.batch import Batch, Round
from estimator.regressors.parts import Parts

_FAINTEST: Final = 1e-6
"""Forgetting never leaves less than that of one sample's weight: after a long silence the old
is still the best there is, until something new has come."""

_AT_ONCE_BYTES: Final = 2 << 20
"""So much of sums is kept of the rounds of a batch before they are solved: as caches hold."""


class Solved(NamedTuple):
    """What the sums of B rounds, one after the other, give.

    ``scales`` [B, F] divide the features, ``curves`` [B, H, D, C] are the terms' coefficients.
    """

    scales: Floats
    curves: Floats


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
        for _ in self._steps(Batch([Round(rows, targets, 0)]), [at_seconds]):
            pass

    def learn(self, batch: Batch, penalty: float) -> Solved:
        """Add round after round, and solve after each; see `solve` for the penalty."""
        seconds = [at / 1000 for at in batch.at]
        found = [
            Solved(scales, _solved(_ridged(a, penalty), b))
            for scales, a, b in self._steps(batch, seconds)
        ]
        if len(found) == 1:
            return found[0]
        return Solved(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def forget(self) -> None:
        """Scale the sums of each half-life down to the weight that the next shorter one's have.

        What they know of rarely seen features stays, but new samples soon outweigh it.
        """
        order = np.argsort(self.half_lives)
        weights = self.a[order, 0, 0]
        kept = np.ones(len(order))
        kept[order[1:]] = np.minimum(1.0, weights[:-1] / np.maximum(weights[1:], _FAINTEST))
        # New arrays: a bank that is wound back has kept the old ones.
        self.a = self.a * kept[:, None, None]
        self.b = self.b * kept[:, None, None]

    def raise_past(self, place: int, watts: Floats) -> None:
        """Have the sums of one half-life be those of targets higher by watts [C]."""
        self.b = self.b.copy()
        self.b[place] += self.a[place, :, :1] * watts

    def solve(self, penalty: float) -> tuple[Floats, Floats]:
        """Coefficients of the linear and of the full terms: [H, 1+F, C] and [H, D, C].

        The penalty is relative to the weight of the samples, so that it means the same for one
        node and for a thousand; the constant term goes without.
        """
        linear, ridged = self.expansion.linear_terms, _ridged(self.a, penalty)
        curves = _solved(ridged, self.b)
        if self.expansion.terms == linear:
            return curves, curves
        return _solved(ridged[:, :linear, :linear], self.b[:, :linear]), curves

    def frozen_scales(self) -> Floats:
        """What features must be divided by before the coefficients apply: [F]."""
        return divisors(self.scales)

    def _steps(self, batch: Batch, seconds: list[float]) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Add the rounds; of as many as are handy, the divisors [B, F], A and b after each."""
        scales = self._widened(batch)
        divided = batch.rows / divisors(scales)[batch.round_of_row]
        terms = self.expansion.expand(divided)
        kept = self._kept(batch.sizes, seconds)
        grown = (scales != np.concatenate([self.scales[None], scales[:-1]])).any(axis=1).tolist()
        handy = max(1, _AT_ONCE_BYTES // self.a.nbytes)
        for first in range(0, len(batch), handy):
            last = min(first + handy, len(batch))
            a = np.empty((last - first, *self.a.shape))
            b = np.empty((last - first, *self.b.shape))
            rows = slice(batch.starts[first], batch.starts[last])
            parts = Parts(batch.sizes[first:last])
            squares = parts.products(terms[rows], terms[rows])
            products = parts.products(terms[rows], batch.watts[rows])
            for number in range(first, last):
                if grown[number]:
                    self._rescale(scales[number])
                self.a = np.multiply(self.a, kept[number], out=a[number - first])
                self.b = np.multiply(self.b, kept[number], out=b[number - first])
                self.a += squares[number - first]
                self.b += products[number - first]
            yield divisors(scales[first:last]), a, b
        # Not to keep the sums of all rounds for the sake of the last.
        self.a, self.b = self.a.copy(), self.b.copy()

    def _widened(self, batch: Batch) -> Floats:
        """The scales [B, F] from each round on."""
        greatest = batch.greatest(np.abs(batch.rows))
        if len(batch) > 1:
            greatest = np.maximum.accumulate(greatest)
        return np.maximum(_power_of_two(greatest), self.scales)

    def _kept(self, sizes: list[int], seconds: list[float]) -> Floats:
        """What of the sums is kept when each round comes: [B, H, 1, 1]; time moves on."""
        weights = [float(weight) for weight in self.a[:, 0, 0]]
        half_lives, kept = self.half_lives.tolist(), []
        for size, at_seconds in zip(sizes, seconds, strict=True):
            passed = 0.0  # One that came late is learned as if it were new.
            if self.at_seconds is None or at_seconds > self.at_seconds:
                passed = 0.0 if self.at_seconds is None else at_seconds - self.at_seconds
                self.at_seconds = at_seconds
            faded = [
                max(2.0 ** (-passed / half_life), min(1.0, _FAINTEST / max(weight, _FAINTEST)))
                for half_life, weight in zip(half_lives, weights, strict=True)
            ]
            weights = [weight * fade + size for weight, fade in zip(weights, faded, strict=True)]
            kept.append(faded)
        return np.array(kept)[:, :, None, None]

    def _forget(self, at_seconds: float) -> None:
        kept = self._kept([0], [at_seconds])[0]
        self.a *= kept
        self.b *= kept

    def _rescale(self, scales: Floats) -> None:
        # Where there was no scale, the sums are zeros: any ratio will do.
        before = np.where(self.scales > 0, self.scales, scales)
        factors = self.expansion.expand((before / divisors(scales))[None])[0]
        self.a = self.a * (factors[:, None] * factors)
        self.b = self.b * factors[:, None]
        self.scales = scales.copy()

    def absorb(self, other: Moments) -> None:
        """Add what another of the same shape knows, both as of the later one's time."""
        if other.at_seconds is None:
            return
        added = Moments(len(other.scales), other.b.shape[2], tuple(other.half_lives), other.order)
        added.restore(other.state())
        at_seconds = max(added.at_seconds or 0.0, self.at_seconds or added.at_seconds or 0.0)
        scales = np.maximum(self.scales, added.scales)
        for part in (self, added):
            part._forget(at_seconds)
            part._rescale(scales)
        self.a += added.a
        self.b += added.b

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"scales": self.scales, "a": self.a, "b": self.b, "at_seconds": self.at_seconds}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self.scales, self.a, self.b = state["scales"], state["a"].copy(), state["b"].copy()
        self.at_seconds = state["at_seconds"]


def divisors(scales: Floats) -> Floats:
    """What to divide features by: their scales, and 1 for those that were always 0."""
    return np.where(scales > 0, scales, 1.0)


def _power_of_two(values: Floats) -> Floats:
    """The power of two at or above each value; 0 for 0."""
    fractions, exponents = np.frexp(values)
    powers: Floats = np.ldexp(1.0, np.where(fractions == 0.5, exponents - 1, exponents))
    return np.where(values > 0, powers, 0.0)


def _ridged(a: Floats, penalty: float) -> Floats:
    """A with the penalty on its diagonal: [..., D, D]."""
    ridged, terms = a.copy(), a.shape[-1]
    diagonal = ridged.reshape(*a.shape[:-2], -1)[..., :: terms + 1]
    diagonal[..., 1:] += (penalty * a[..., 0, 0])[..., None]
    return ridged


def _solved(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.linalg.solve(a, b), dtype=np.float64)
