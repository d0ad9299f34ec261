"""Models that are fitted anew to a window of samples now and then."""

from __future__ import annotations

import abc

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenExperts, FrozenPolynomials, restore_experts
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch


class RefittedBank(abc.ABC):
    """One expert of a window of rows [N, F] and watts [N, C].

    Until it is fitted it says nothing, 0 W, which guards make the least that was seen.
    """

    def __init__(self, name: str, features: int, components: int, window: int) -> None:
        self.names = (name,)
        self._window = window
        self._rows: Floats = np.empty((0, features))
        self._watts: Floats = np.empty((0, components))
        nothing = np.zeros((1, 1 + features, components))
        self._fitted: FrozenExperts = FrozenPolynomials(np.ones(features), nothing, order=1)

    @abc.abstractmethod
    def fit(self, rows: Floats, watts: Floats, wrong: Floats) -> FrozenExperts | None:
        """The model anew, or None if it stays as it is.

        ``rows`` and ``watts`` are the window, ``wrong`` [K, C] the errors, estimate minus
        measurement, that it made in the round that came last.
        """

    def learn_rounds(self, batch: Batch) -> list[FrozenExperts]:
        """Learn the rounds one after the other; what the expert would say after each."""
        made = []
        for part in batch.parts():
            rows, watts = batch.rows[part], batch.watts[part]
            wrong = self._fitted.predict_many(rows)[:, 0] - watts
            self._rows = np.concatenate([self._rows, rows])[-self._window :]
            self._watts = np.concatenate([self._watts, watts])[-self._window :]
            self._fitted = self.fit(self._rows, self._watts, wrong) or self._fitted
            made.append(self._fitted)
        return made

    def freeze(self) -> FrozenExperts:
        """What was fitted last."""
        return self._fitted

    def absorb(self, other: Bank, share: float) -> None:
        """Take over the other's model if it has learned more."""
        if not isinstance(other, type(self)):
            raise TypeError(f"{type(other).__name__} is no {type(self).__name__}")
        if share > 0.5:
            self._fitted = other._fitted

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"rows": self._rows, "watts": self._watts, "fitted": self._fitted.state()}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._rows, self._watts = state["rows"], state["watts"]
        self._fitted = restore_experts(state["fitted"])
