"""Which frozen model is asked about which round, all of a batch's questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.batch import Batch
from estimator.frozen import FrozenModel, opinions_of, per_row, weighed

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
            self._sizes = None
            self.parts = [slice(number, number + 1) for number in range(len(asked))]
        else:
            rows = [_rows(batch, question) for question in asked]
            places = np.concatenate(rows)
            self._sizes = [len(part) for part in rows]
            ends = np.cumsum([0, *self._sizes]).tolist()
            self.parts = [slice(*pair) for pair in pairwise(ends)]
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

    def sums(self, terms: Floats) -> Floats:
        """Each question's sum over its rows: [8, R, C] to [8, Q, C]."""
        if self._sizes is None:
            return terms
        return np.stack([np.add.reduce(terms[:, part], axis=1) for part in self.parts], axis=1)

    def means(self, values: Floats) -> Floats:
        """Each question's mean over its rows: [R, E, C] to [Q, E, C]."""
        if self._sizes is None:
            return values
        sums = np.array([np.add.reduce(values[part], axis=0) for part in self.parts])
        means: Floats = sums / np.array(self._sizes, dtype=np.float64)[:, None, None]
        return means

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


def _rows(batch: Batch, question: Question) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Which rows of the batch are asked about: some, spread evenly, others a second later."""
    first, size = batch.starts[question.round], batch.sizes[question.round]
    if size <= OF_A_ROUND:
        return first + np.arange(size)
    turn = batch.at[question.round] // 1000
    return first + (turn + np.arange(OF_A_ROUND) * size // OF_A_ROUND) % size


def _by_round(asked: Sequence[Question]) -> list[tuple[list[int], slice]]:
    found: list[tuple[list[int], slice]] = []
    first = 0
    for number, question in enumerate(asked):
        if number and question.round != asked[number - 1].round:
            found.append(([one.horizon for one in asked[first:number]], slice(first, number)))
            first = number
    found.append(([one.horizon for one in asked[first:]], slice(first, len(asked))))
    return found
