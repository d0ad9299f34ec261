"""River's adaptive Mondrian forest, asked itself about every next sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from river import forest, preprocessing

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenExperts
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch
from estimator.regressors.river_bank import RiverBank, export_forest

_EXPORT_SECONDS: Final = 60.0


class Foretold:
    """Frozen experts that know beforehand what they are to say of the rows that come next."""

    def __init__(self, experts: FrozenExperts) -> None:
        self._experts = experts
        self.rows: Floats | None = None
        self.watts: Floats | None = None

    def predict_many(self, rows: Floats) -> Floats:
        """What was foretold of these rows; of others what the experts say: [K, F] to [K, E, C]."""
        if self.rows is None or self.watts is None or not _seen(rows, self.rows):
            return self._experts.predict_many(rows)
        return self.watts

    def state(self) -> State:
        """Plain data of the experts alone: what comes next is no part of them."""
        return self._experts.state()


def _seen(rows: Floats, before: Floats) -> bool:
    return rows.shape == before.shape and bool((rows == before).all())


class ForestBank:
    """The forest as its authors mean it: predict, then learn, sample by sample.

    Exporting it takes longer than learning, so it is done every minute, for the errors of models of
    some time ago; of the next sample the forest itself speaks.
    """

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        self._features = tuple(features)
        self._bank = RiverBank(
            "amf",
            preprocessing.MinMaxScaler() | forest.AMFRegressor(n_estimators=10, seed=1),
            export_forest,
            features,
            components,
            together=False,
            export_seconds=_EXPORT_SECONDS,
        )
        self._last: Foretold | None = None
        self.names = self._bank.names

    def learn_rounds(self, batch: Batch) -> list[Foretold]:
        """Learn the rounds one after the other; what the forest would say after each."""
        made = []
        for part, at in zip(batch.parts(), batch.at, strict=True):
            rows = batch.rows[part]
            if self._last is not None:
                self._last.rows, self._last.watts = rows, self._said(rows)
            self._bank.learn_many(rows, batch.watts[part], at / 1000)
            self._last = self.freeze()
            made.append(self._last)
        return made

    def _said(self, rows: Floats) -> Floats:
        samples = (dict(zip(self._features, row, strict=True)) for row in rows.tolist())
        return np.array([[self._bank.predict_one(sample)] for sample in samples])

    def freeze(self) -> Foretold:
        """What the forest says, or said when it was exported last."""
        return Foretold(self._bank.freeze())

    def absorb(self, other: Bank, share: float) -> None:
        """Put the other's trees beside ours."""
        if not isinstance(other, ForestBank):
            raise TypeError(f"{type(other).__name__} is no ForestBank")
        self._bank.absorb(other._bank, share)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return self._bank.state()

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._bank.restore(state)
