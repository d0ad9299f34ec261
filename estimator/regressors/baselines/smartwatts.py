"""The window model of SmartWatts: an elastic net that is fitted anew when it was wrong."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenExperts, FrozenPolynomials
from estimator.regressors.baselines.refitted import RefittedBank

WINDOW: Final = 60
_FEWEST: Final = 10
_THRESHOLD_WATTS: Final = 2.0
_MOST_WATTS: Final = 400.0
"""SmartWatts' default for the power that a processor may draw: an intercept is less."""


class SmartWattsBank(RefittedBank):
    """For each component an elastic net without negative weights, over the last 60 samples.

    As in SmartWatts 2.4: features are not scaled, the constant is fitted only when the window is
    full, and a fit whose constant is not between 0 and 400 W is thrown away. It is fitted anew when
    the median of the absolute errors since the last fit, 60 at most, is above 2 W. Its layers by
    frequency are left out: Kepler's exporters since 0.10 say no frequency.
    """

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        super().__init__("smartwatts", len(features), len(components), WINDOW)
        self._wrong: list[list[float]] = [[] for _ in components]
        self._coefficients = np.zeros((1, 1 + len(features), len(components)))

    def fit(self, rows: Floats, watts: Floats, wrong: Floats) -> FrozenExperts | None:
        """The lines of those components that were wrong, anew."""
        changed = False
        for component, errors in enumerate(self._wrong):
            errors += np.abs(wrong[:, component]).tolist()
            del errors[:-WINDOW]
            if len(rows) < _FEWEST or float(np.median(errors)) <= _THRESHOLD_WATTS:
                continue
            errors.clear()
            changed |= self._fit_one(rows, watts[:, component], component)
        if not changed:
            return None
        return FrozenPolynomials(np.ones(rows.shape[1]), self._coefficients.copy(), order=1)

    def _fit_one(self, rows: Floats, watts: Floats, component: int) -> bool:
        model = ElasticNet(positive=True, fit_intercept=len(rows) >= WINDOW)
        with warnings.catch_warnings():
            # Unscaled features: it rarely converges, there as here.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows, watts)
        if not 0.0 <= float(model.intercept_) < _MOST_WATTS:
            return False
        self._coefficients[0, :, component] = [model.intercept_, *model.coef_]
        return True

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {**super().state(), "wrong": self._wrong, "coefficients": self._coefficients}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        super().restore(state)
        self._wrong = [list(errors) for errors in state["wrong"]]
        self._coefficients = state["coefficients"].copy()
