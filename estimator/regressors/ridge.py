"""Forgetting ridge regressions: the bank that models learn with."""

from __future__ import annotations

import numpy as np

from estimator.arrays import Floats, State
from estimator.frozen import FrozenPolynomials
from estimator.regressors.moments import Moments

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

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return self._moments.state()

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._moments.restore(state)
