"""Which frozen model is asked about which round, all of a batch's questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.frozen import FrozenModel, opinions_of, per_row, weighed
from estimator.regressors.batch import Batch
from estimator.regressors.parts import Parts

OF_A_ROUND: Final = 4
"""No more rows of one round are asked about: errors are means, and a fleet's rounds are many."""


class Question(NamedTuple):
    """What a model of some time ago would have said of a round, at a horizon (its index)."""

    round: int
    horizon: int
    model: FrozenModel


class Questions:
    """The questions of a batch, round by round.

    ``parts`` are the rows of each question among all R rows that are asked about, ``next_parts``
    those of each round's question for the next sample. ``rows`` [R, F] are the features, ``watts``
    [R, C] what was measured, ``by_round`` each round's horizons and its questions.
    """

    def __init__(self, batch: Batch, asked: Sequence[Question]) -> None:
        self._asked = asked
        self._models = [question.model for question in asked]
        if batch.alone:
            places = np.array([question.round for question in asked])
            self._parts = Parts([1] * len(asked))
        else:
            of_round = [rows_asked(batch, number) for number in range(len(batch))]
            rows = [of_round[question.round] for question in asked]
            places = np.array(list(chain.from_iterable(rows)))
            self._parts = Parts([len(part) for part in rows])
        self._sizes = self._parts.each or self._parts.sizes
        self.parts = self._parts.parts()
        self.next_parts = [
            part for part, question in zip(self.parts, asked, strict=True) if not question.horizon
        ]
        self.rows, self.watts = batch.rows[places], batch.watts[places]
        self.by_round = _by_round(asked)

    def opinions(self) -> Floats:
        """What the experts say: [R, E, C]."""
        return opinions_of(self._models, self.rows, self.parts)

    def settled(self, opinions: Floats) -> Floats:
        """The opinions made one, as `FrozenModel.settle` does: [R, C]."""
        weights = [question.model.weights[question.horizon] for question in self._asked]
        watts = weighed(opinions, per_row(weights, self._sizes))
        floors = per_row([model.floor for model in self._models], self._sizes)
        uppers = per_row([model.upper for model in self._models], self._sizes)
        watts = np.minimum(np.maximum(watts, floors), uppers)
        zero = ~np.logical_or.reduce(self.rows, axis=1)
        if zero.any():
            watts[zero] = per_row([model.idle for model in self._models], self._sizes)[zero]
        return watts

    def sums(self, terms: Floats, horizons: int) -> Floats:
        """The sums over each question's rows, 0 where none was asked: [8, R, C] to [B, 8, H, C]."""
        sums = np.zeros((len(self.by_round), len(terms), horizons, terms.shape[2]))
        rounds = [question.round for question in self._asked]
        asked = [question.horizon for question in self._asked]
        sums[rounds, :, asked] = self._parts.sums(terms.swapaxes(0, 1))
        return sums

    def means(self, values: Floats) -> Floats:
        """Each question's mean over its rows: [R, E, C] to [Q, E, C]."""
        return self._parts.means(values)

    def next_samples(self, batch: Batch, watts: Floats, *, complete: bool) -> list[Floats | None]:
        """What [R, C] says at horizon 0, round by round.

        Of rounds with more rows than are asked about, the rest is asked now if it must be
        ``complete``; else nothing is said of them.
        """
        said: list[Floats | None] = []
        for part, question in zip(self.parts, self._asked, strict=True):
            if question.horizon:
                continue
            if batch.sizes[question.round] <= OF_A_ROUND:
                said.append(watts[part])
            elif complete:
                said.append(question.model.predict_many(batch.rows[batch.part(question.round)]))
            else:
                said.append(None)
        return said


def rows_asked(batch: Batch, number: int) -> Sequence[int]:
    """Which rows of a round are asked about: some, spread evenly, others in the next round.

    Steps of the golden section meet all rows in turn, whatever the time between rounds.
    """
    first, size = batch.starts[number], batch.sizes[number]
    if size <= OF_A_ROUND:
        return range(first, first + size)
    turn = batch.at[number] * 618_034 // 1_000_000_000
    return [first + (turn + place * size // OF_A_ROUND) % size for place in range(OF_A_ROUND)]


def _by_round(asked: Sequence[Question]) -> list[tuple[list[int], slice]]:
    found: list[tuple[list[int], slice]] = []
    first = 0
    for number, question in enumerate(asked):
        if number and question.round != asked[number - 1].round:
            found.append(([one.horizon for one in asked[first:number]], slice(first, number)))
            first = number
    found.append(([one.horizon for one in asked[first:]], slice(first, len(asked))))
    return found
