"""Forgetting ridge regressions: the bank that models learn with."""

from __future__ import annotations

import numpy as np

from estimator.arrays import Floats, State
from estimator.frozen import FrozenPolynomials
from estimator.regressors.bank import Bank
from estimator.regressors.moments import Moments
from estimator.regressors.nonnegative import bounded_least_squares

HALF_LIVES_SECONDS = (40.0, 300.0, 1800.0)
PENALTY = 1e-4


class RidgeBank:
    """A linear and a second-order ridge regression for every half-life, of one set of sums."""

    def __init__(
        self,
        features: int,
        components: int,
        half_lives_seconds: tuple[float, ...] = HALF_LIVES_SECONDS,
        penalty: float = PENALTY,
    ) -> None:
        self._moments = Moments(features, components, half_lives_seconds, order=2)
        self._penalty = penalty
        self.names = tuple(
            f"ridge{order}-{half_life:g}s" for order in (1, 2) for half_life in half_lives_seconds
        )

    def learn_many(self, rows: Floats, watts: Floats, at_seconds: float) -> None:
        """Learn a round: rows [K, F] of rates, watts [K, C], at one event time."""
        self._moments.add(rows, watts, at_seconds)

    def freeze(self) -> FrozenPolynomials:
        """What the regressions would say now, for ever: the linear ones, then the others."""
        lines, curves = self._moments.solve(self._penalty)
        count, linear, _ = lines.shape
        coefficients = np.zeros((2 * count, *curves.shape[1:]))
        coefficients[:count, :linear] = lines
        coefficients[count:] = curves
        return FrozenPolynomials(self._moments.frozen_scales(), coefficients, order=2)

    def absorb(self, other: Bank, share: float) -> None:  # noqa: ARG002 - sums need no share
        """Add the sums of another: the same as if one had learned all samples."""
        if not isinstance(other, RidgeBank):
            raise TypeError(f"{type(other).__name__} is no RidgeBank")
        self._moments.absorb(other._moments)

    def forget(self) -> None:
        """Have the past weigh as little in the long half-lives' sums as in the shortest's."""
        self._moments.forget()

    def lines(self, ceiling_bias: Floats) -> tuple[Floats, Floats, Floats]:
        """A line for Kepler: bias [C] up to ``ceiling_bias``, weights [F, C], scales [F].

        Watts = bias + sum of weights * rate / scales, none of them negative. Kepler fetches
        weights once and keeps them, so the line is that of the longest memory.
        """
        moments, longest = self._moments, int(np.argmax(self._moments.half_lives))
        linear = moments.expansion.linear_terms
        a = moments.a[longest, :linear, :linear].copy()
        a[np.arange(1, linear), np.arange(1, linear)] += self._penalty * a[0, 0]
        b = moments.b[longest, :linear]
        greatest = np.full(b.shape, np.inf)
        greatest[0] = np.maximum(ceiling_bias, 0.0)
        found = bounded_least_squares(a, b, greatest)
        return found[0], found[1:], moments.frozen_scales()

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return self._moments.state()

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._moments.restore(state)
