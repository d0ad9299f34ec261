"""Repeating what was measured last: whoever is worse than that has learned nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch


class LastValueBank:
    """One expert that says the mean watts of the last round, whatever it is asked about."""

    names = ("last-value",)

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        self._features = len(features)
        self._watts: Floats = np.zeros(len(components))

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        """Learn the rounds one after the other; what the expert would say after each."""
        made = []
        for watts in batch.means(batch.watts):
            self._watts = watts.copy()
            made.append(self.freeze())
        return made

    def freeze(self) -> FrozenPolynomials:
        """The last watts, as a line that is flat."""
        coefficients = np.zeros((1, 1 + self._features, len(self._watts)))
        coefficients[0, 0] = self._watts
        return FrozenPolynomials(np.ones(self._features), coefficients, order=1)

    def absorb(self, other: Bank, share: float) -> None:
        """Mix in another's last watts, with that share of the say."""
        if not isinstance(other, LastValueBank):
            raise TypeError(f"{type(other).__name__} is no LastValueBank")
        self._watts = self._watts + share * (other._watts - self._watts)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"watts": self._watts}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._watts = state["watts"]
