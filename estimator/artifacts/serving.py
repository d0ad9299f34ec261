"""A frozen model made ready to answer: what is the same for every request is worked out once.

`FrozenModel.predict_many` says what a model means. This says the same, up to the last bits of a
float, in a fraction of the time for a single row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats
from estimator.artifacts.expansion import expansion
from estimator.artifacts.frozen import MARGIN, FrozenExperts, FrozenModel, FrozenPolynomials
from estimator.artifacts.frozen_neighbours import EXPERTS, FrozenNeighbours
from estimator.artifacts.served_neighbours import ServedNeighbours

MOST_NEAR: Final = 8
"""In requests of more rows than that neighbours have no say. Each row costs a look at the whole
window, while rows in such numbers are workloads: small shares of moments that are remembered of
whole nodes."""


class ServedModel:
    """One model at one horizon. Any number of threads may ask it."""

    def __init__(self, model: FrozenModel, horizon: int) -> None:
        weights, starts = model.weights[horizon], [0]
        for bank in model.banks:
            starts.append(starts[-1] + _experts(bank, model))
        heard = [
            (bank, weights[first:end])
            for bank, (first, end) in zip(model.banks, pairwise(starts), strict=True)
            if weights[first:end].any()
        ]
        cheap = [(bank, say) for bank, say in heard if type(bank) is not FrozenNeighbours]
        self._few = _Jury(heard, model)
        self._many = _Jury(_alone(cheap), model) if cheap and len(cheap) < len(heard) else self._few
        self._floor, self._upper = model.floor, model.ceiling * (1.0 + MARGIN)
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
        settled: list[float] = self._few.settled_one(within).tolist()
        return [
            floor if watts < floor else min(watts, upper)
            for watts, (floor, upper) in zip(settled, self._bounds, strict=True)
        ]

    def predict_many(self, rows: Floats) -> Floats:
        """Watts of every row: [K, F] to [K, C]; idle for rows of zeros.

        Of more than `MOST_NEAR` rows neighbours are not asked; the others share their say.
        """
        within = np.minimum(np.maximum(rows, self._least), self._most)
        watts = (self._many if len(rows) > MOST_NEAR else self._few).settled(within)
        np.maximum(watts, self._floor, out=watts)
        np.minimum(watts, self._upper, out=watts)
        zero = ~np.logical_or.reduce(rows, axis=1)
        if np.logical_or.reduce(zero):
            watts[zero] = self._idle
        return watts


class _Jury:
    """Banks with what say [E, C] each of their experts has; those with none are not asked.

    The weighing is one product.
    """

    def __init__(self, heard: Sequence[tuple[FrozenExperts, Floats]], model: FrozenModel) -> None:
        self._banks: list[_Heard | ServedNeighbours | FrozenExperts] = []
        says: list[Floats] = []
        for bank, say in heard:
            if type(bank) is FrozenPolynomials:
                some = np.logical_or.reduce(say, axis=1)
                self._banks.append(_Heard(bank, some))
                says.append(say[some])
                continue
            self._banks.append(ServedNeighbours(bank) if type(bank) is FrozenNeighbours else bank)
            says.append(say)
        components = len(model.floor)
        say = np.concatenate([*says, np.empty((0, components))])
        # [E * C, C]: what expert e says of component c counts for component c only.
        self._weighing = (say[:, :, None] * np.eye(components)).reshape(-1, components)
        self._floors = np.tile(model.floor, len(say))
        self._uppers = np.tile(model.ceiling * (1.0 + MARGIN), len(say))

    def settled_one(self, within: Sequence[float]) -> Floats:
        """The opinions on one row of F rates made one: [C]."""
        row, said = None, []
        for bank in self._banks:
            if isinstance(bank, _Heard):
                said.append(bank.predict_one(within))
                continue
            row = np.array(within) if row is None else row
            if isinstance(bank, ServedNeighbours):
                said.append(bank.predict_one(row))
            else:
                said.append(bank.predict_many(row[None]).reshape(-1))
        return self._settle(said[0] if len(said) == 1 else np.concatenate(said))

    def settled(self, within: Floats) -> Floats:
        """The opinions on rows [K, F] made one: [K, C]."""
        said = [bank.predict_many(within) for bank in self._banks]
        flat = [one.reshape(len(one), math.prod(one.shape[1:])) for one in said]
        return self._settle(
            flat[0] if len(flat) == 1 else np.concatenate([*flat, within[:, :0]], axis=1)
        )

    def _settle(self, said: Floats) -> Floats:
        """The experts' opinions, each within the guards, made one: [..., E * C] to [..., C]."""
        # fmax takes the floor for NaN, what an expert says that has lost its way.
        np.fmax(said, self._floors, out=said)
        np.fmin(said, self._uppers, out=said)
        watts: Floats = said @ self._weighing
        return watts


def _alone(
    heard: Sequence[tuple[FrozenExperts, Floats]],
) -> list[tuple[FrozenExperts, Floats]]:
    """The banks with what say their experts have without any others: for each component 1."""
    whole = np.sum([say.sum(axis=0) for _, say in heard], axis=0)
    experts = sum(len(say) for _, say in heard)
    return [
        (bank, np.divide(say, whole, out=np.full_like(say, 1.0 / experts), where=whole > 0.0))
        for bank, say in heard
    ]


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
    if type(bank) is FrozenNeighbours:
        return len(EXPERTS)
    return int(bank.predict_many(model.seen[:1]).shape[1])
