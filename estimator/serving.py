"""A frozen model made ready to answer: what is the same for every request is worked out once.

`FrozenModel.predict_many` says what a model means. This says the same, up to the last bits of a
float, in a fraction of the time for a single row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats
from estimator.expansion import expansion
from estimator.frozen import MARGIN, FrozenExperts, FrozenModel, FrozenPolynomials


class ServedModel:
    """One model at one horizon. Any number of threads may ask it.

    Polynomials without a say at the horizon are left out, and the weighing is one product.
    """

    def __init__(self, model: FrozenModel, horizon: int) -> None:
        weights = model.weights[horizon]
        components = weights.shape[1]
        self._banks: list[_Heard | FrozenExperts] = []
        says: list[Floats] = []
        start = 0
        for bank in model.banks:
            end = start + _experts(bank, model)
            say, start = weights[start:end], end
            heard = say.any(axis=1)
            if not heard.any():
                continue
            if type(bank) is FrozenPolynomials:
                self._banks.append(_Heard(bank, heard))
                says.append(say[heard])
            else:
                self._banks.append(bank)
                says.append(say)
        say = np.concatenate([*says, np.empty((0, components))])
        # [E * C, C]: what expert e says of component c counts for component c only.
        self._weighing = (say[:, :, None] * np.eye(components)).reshape(-1, components)
        self._floor, self._upper = model.floor, model.ceiling * (1.0 + MARGIN)
        self._floors, self._uppers = np.tile(self._floor, len(say)), np.tile(self._upper, len(say))
        self._least, self._most = model.seen
        self._idle = model.idle
        self._idle_list: list[float] = model.idle.tolist()
        self._ranges: list[list[float]] = model.seen.T.tolist()
        self._bounds = list(zip(self._floor.tolist(), self._upper.tolist(), strict=True))

    def predict_one(self, row: Sequence[float]) -> list[float]:
        """Watts of each component for one row of F rates; idle if all are zero."""
        if not any(row):
            return self._idle_list
        within = [
            least if rate < least else min(rate, most)
            for rate, (least, most) in zip(row, self._ranges, strict=True)
        ]
        only = self._banks[0] if len(self._banks) == 1 else None
        if isinstance(only, _Heard):
            said = only.predict_one(within)
        else:
            said = self._opinions(np.array([within]))[0]
        settled: list[float] = self._settle(said).tolist()
        return [
            floor if watts < floor else min(watts, upper)
            for watts, (floor, upper) in zip(settled, self._bounds, strict=True)
        ]

    def predict_many(self, rows: Floats) -> Floats:
        """Watts of every row: [K, F] to [K, C]; idle for rows of zeros."""
        within = np.minimum(np.maximum(rows, self._least), self._most)
        watts = self._settle(self._opinions(within))
        np.maximum(watts, self._floor, out=watts)
        np.minimum(watts, self._upper, out=watts)
        zero = ~np.logical_or.reduce(rows, axis=1)
        if np.logical_or.reduce(zero):
            watts[zero] = self._idle
        return watts

    def _opinions(self, within: Floats) -> Floats:
        """What all experts that are heard say: [K, F] to [K, E * C]."""
        said = [bank.predict_many(within) for bank in self._banks]
        flat = [one.reshape(len(one), math.prod(one.shape[1:])) for one in said]
        return flat[0] if len(flat) == 1 else np.concatenate([*flat, within[:, :0]], axis=1)

    def _settle(self, said: Floats) -> Floats:
        """The experts' opinions, each within the guards, made one: [..., E * C] to [..., C]."""
        # fmax takes the floor for NaN, what an expert says that has lost its way.
        np.fmax(said, self._floors, out=said)
        np.fmin(said, self._uppers, out=said)
        watts: Floats = said @ self._weighing
        return watts


class _Heard:
    """Those polynomials of a bank that have a say."""

    def __init__(self, bank: FrozenPolynomials, heard: NDArray[np.bool_]) -> None:
        self._expansion = expansion(len(bank.scales), bank.order)
        self._scales = bank.scales
        self._scale_list: list[float] = bank.scales.tolist()
        self._left, self._right = self._expansion.factors()
        by_term = bank.coefficients[heard].transpose(1, 0, 2)
        self._flat = np.ascontiguousarray(by_term.reshape(self._expansion.terms, -1))

    def predict_one(self, within: Sequence[float]) -> Floats:
        """Watts that each expert says of one row of F rates: [E * C]."""
        scaled = [rate / scale for rate, scale in zip(within, self._scale_list, strict=True)]
        row = np.array([1.0, *scaled])
        terms = row.take(self._left)
        terms *= row.take(self._right)
        watts: Floats = terms @ self._flat
        return watts

    def predict_many(self, within: Floats) -> Floats:
        """Watts that each expert says: [K, F] to [K, E * C]."""
        watts: Floats = self._expansion.expand(within / self._scales) @ self._flat
        return watts


def _experts(bank: FrozenExperts, model: FrozenModel) -> int:
    """How many experts a bank holds: as many as speak."""
    if type(bank) is FrozenPolynomials:
        return len(bank.coefficients)
    return int(bank.predict_many(model.seen[:1]).shape[1])
