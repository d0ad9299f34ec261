"""Window neighbours: the bank that remembers moments instead of summing them up."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.artifacts.chunks import Chunk, Chunks
from estimator.artifacts.frozen_neighbours import EXPERTS, RECENT, FrozenNeighbours
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch, Round
from estimator.regressors.moments import Moments
from estimator.regressors.relevance import Relevance
from estimator.regressors.ridge import PENALTY

WINDOW: Final = 1000
"""So many samples are remembered."""
OF_A_ROUND: Final = 4
"""No more samples of one round are: a fleet would fill the window within a minute."""
CURVE_SECONDS: Final = 1800.0
"""Half-life of the curve along which neighbours are moved."""
KEPT_SECONDS: Final = 60.0
"""So much of the window is kept when the past is to be forgotten."""


class _Mark(NamedTuple):
    sums: State
    chunk: Chunk
    used: int


class NeighbourBank:
    """The nearest samples of a bounded window, moved along a ridge regression of second order.

    Distances are of features divided by the greatest value that each had, and count the less the
    less a feature has to do with the power (see `Relevance`). Of a round of many
    nodes, some samples are remembered, another time those of others, and none twice.
    """

    names = EXPERTS

    def __init__(self, features: int, components: int, window: int = WINDOW) -> None:
        self._window = window
        self._moments = Moments(features, components, (CURVE_SECONDS,), order=2)
        self._chunk = Chunk(2 * window, features, components)
        self._relevance = Relevance(features, components)
        self._greatest = np.zeros(features)
        self._rounds = 0

    def learn_rounds(self, batch: Batch) -> list[FrozenNeighbours]:
        """Learn the rounds one after the other; what the experts would say after each."""
        solved = self._moments.learn(batch, PENALTY)
        greatest = np.maximum(batch.greatest(np.abs(batch.rows)), self._greatest)
        if len(batch) > 1:
            greatest = np.maximum.accumulate(greatest)
        scales = _scales(greatest, self._relevance.learn(batch))
        made = []
        for number, part in enumerate(batch.parts()):
            self._remember(batch.rows[part], batch.watts[part], batch.at[number] / 1000)
            curve = solved.scales[number], solved.curves[number, 0]
            made.append(self._frozen(scales[number], *curve))
        self._greatest = greatest[-1].copy()
        return made

    def learn_many(self, rows: Floats, watts: Floats, at_seconds: float) -> None:
        """Learn a round: rows [K, F] of rates, watts [K, C], at one event time."""
        self.learn_rounds(Batch([Round(rows, watts, round(at_seconds * 1000))]))

    def freeze(self) -> FrozenNeighbours:
        """What the experts would say now, for ever."""
        _, curves = self._moments.solve(PENALTY)
        scales = _scales(self._greatest, self._relevance.matters())
        return self._frozen(scales, self._moments.frozen_scales(), curves[0])

    def _frozen(self, scales: Floats, curve_scales: Floats, curve: Floats) -> FrozenNeighbours:
        stop = self._chunk.used
        start = max(0, stop - self._window)
        return FrozenNeighbours(self._chunk, start, stop, scales, curve_scales, curve)

    def _remember(self, rows: Floats, watts: Floats, seconds: float) -> None:
        self._rounds += 1
        if len(rows) > 1:
            chosen = _chosen(rows, watts, self._rounds)
            rows, watts = rows[chosen], watts[chosen]
        if self._chunk.room < len(rows):
            self._turn(self._window)
        self._chunk.append(rows, watts, seconds)

    def _turn(self, kept: int) -> None:
        """Go on in a new chunk that begins with the last rows; whoever looks keeps the old one."""
        old = self._chunk
        part = slice(max(0, old.used - kept), old.used)
        self._chunk = Chunk(2 * self._window, old.rows.shape[1], old.watts.shape[1])
        self._chunk.append(old.rows[part], old.watts[part], old.seconds[part])

    def absorb(self, other: Bank, share: float) -> None:  # noqa: ARG002 - windows need no share
        """Join the windows in order of time: the recent part whole, what is older thinned."""
        if not isinstance(other, NeighbourBank):
            raise TypeError(f"{type(other).__name__} is no NeighbourBank")
        self._moments.absorb(other._moments)
        self._relevance.absorb(other._relevance)
        self._greatest = np.maximum(self._greatest, other._greatest)
        parts = [self._last_rows(), other._last_rows()]
        rows, watts, seconds = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        kept = np.argsort(seconds, kind="stable")
        if len(kept) > self._window:
            older, recent = kept[:-RECENT], kept[-RECENT:]
            places = np.linspace(0, len(older) - 1, self._window - RECENT).round().astype(np.intp)
            kept = np.concatenate([older[places], recent])
        self._chunk = Chunk(2 * self._window, rows.shape[1], watts.shape[1])
        self._chunk.append(rows[kept], watts[kept], seconds[kept])

    def _last_rows(self) -> tuple[Floats, Floats, Floats]:
        chunk = self._chunk
        part = slice(max(0, chunk.used - self._window), chunk.used)
        return chunk.rows[part], chunk.watts[part], chunk.seconds[part]

    def forget(self) -> None:
        """Remember of the window no more than what lies within the shortest memory."""
        self._moments.forget()
        used = self._chunk.used
        if used:
            seconds = self._chunk.seconds[max(0, used - self._window) : used]
            self._turn(int((seconds > seconds.max() - KEPT_SECONDS).sum()))

    def mark(self) -> _Mark:
        """Where the bank is now, for `rewind`."""
        return _Mark(self._sums(), self._chunk, self._chunk.used)

    def rewind(self, mark: _Mark) -> None:
        """Go back to where `mark` was called: what was frozen since must not be asked any more."""
        mark.chunk.cut(mark.used)
        self._restore(mark.sums, mark.chunk)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {**self._sums(), "chunk": self._chunk.state()}

    def chunked_state(self, chunks: Chunks) -> State:
        """The same, the rows left to ``chunks``."""
        return {**self._sums(), "chunk": chunks.number(self._chunk)}

    def _sums(self) -> State:
        return {
            "moments": self._moments.state(),
            "relevance": self._relevance.state(),
            "greatest": self._greatest,
            "rounds": self._rounds,
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._restore(state, Chunk.restore(state["chunk"]))

    def restore_chunked(self, state: State, chunks: Chunks) -> None:
        """Go on from a state that `chunked_state` gave."""
        self._restore(state, chunks[state["chunk"]])

    def _restore(self, state: State, chunk: Chunk) -> None:
        self._moments.restore(state["moments"])
        self._relevance.restore(state["relevance"])
        self._greatest, self._rounds = state["greatest"], state["rounds"]
        self._chunk = chunk


def _scales(greatest: Floats, matters: Floats) -> Floats:
    """What divides features before distances are measured: the greater, the less one matters."""
    scales: Floats = np.where(greatest > 0, greatest, 1.0) / matters
    return scales


def _chosen(rows: Floats, watts: Floats, turn: int) -> NDArray[np.intp]:
    """Which samples of a round to remember: evenly spread, others each turn, none twice."""
    count = len(rows)
    some = min(count, OF_A_ROUND)
    places = (turn + np.arange(some) * count // some) % count
    chosen: list[int] = []
    for place in sorted(places.tolist()):
        alike = any(
            (rows[place] == rows[other]).all() and (watts[place] == watts[other]).all()
            for other in chosen
        )
        if not alike:
            chosen.append(place)
    return np.array(chosen, dtype=np.intp)
