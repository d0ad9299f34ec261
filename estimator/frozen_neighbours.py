"""Experts that look for the moments of the past that were most like the one asked about.

What the machine drew then is the best guess where a machine does what it has done before, however
bent its power is over its usage. Where it is asked about what lies between or beside what it has
done, a curve says how much more or less that is than the neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.chunks import Chunk, Chunks
from estimator.expansion import expansion

NEAREST: Final = 5
RECENT: Final = 300
"""The neighbours of the recent past are of so many rows."""
EXPERTS: Final = ("neighbours", "recent-neighbours", "recent-alone")
"""Neighbours of the whole window and of its recent part, moved along the curve; the latter as
they are."""

_CANDIDATES: Final = 32
"""So many of the nearest are picked for the models of all ages."""
_ORDER: Final = 2
_CLOSEST: Final = 1e-9
"""Squares of distances below that are no distance: they would make one neighbour everything."""
_AT_ONCE: Final = 32
"""So many questions are compared at a time: as caches hold."""

Indices = NDArray[np.intp]


class FrozenNeighbours:
    """The rows from ``start`` to ``stop`` of a chunk, and a curve of second order through them.

    ``scales`` [F] are the greatest values that the features had: by them, distances are measured.
    The curve's ``coefficients`` [D, C] weigh the terms of features divided by ``curve_scales`` [F].
    """

    kind: Final = "neighbours"

    def __init__(
        self,
        chunk: Chunk,
        start: int,
        stop: int,
        scales: Floats,
        curve_scales: Floats,
        coefficients: Floats,
    ) -> None:
        self.chunk, self.start, self.stop = chunk, start, stop
        self.scales, self.curve_scales = scales, curve_scales
        self.coefficients = coefficients

    def predict_many(self, rows: Floats) -> Floats:
        """Watts that each expert says: [K, F] to [K, E, C]."""
        return self.predict_each([self], rows, [slice(0, len(rows))])

    @staticmethod
    def predict_each(
        experts: Sequence[FrozenNeighbours], rows: Floats, parts: Sequence[slice]
    ) -> Floats:
        """What each of several says of its own part of the rows: [R, F] to [R, E, C]."""
        asked = [
            one
            for one, part in zip(experts, parts, strict=True)
            for _ in range(part.start, part.stop)
        ]
        found = [
            _said(asked[first : first + _AT_ONCE], rows[first : first + _AT_ONCE])
            for first in range(0, len(asked), _AT_ONCE)
        ]
        if len(found) == 1:
            return found[0]
        return np.concatenate([*found, np.empty((0, len(EXPERTS), experts[0].components))])

    @property
    def components(self) -> int:
        """How many components there are."""
        return int(self.coefficients.shape[1])

    def state(self) -> State:
        """Plain data from which ``restore_experts`` makes the same experts again."""
        part = slice(self.start, self.stop)
        return {
            **self._curve(),
            "rows": self.chunk.rows[part],
            "watts": self.chunk.watts[part],
        }

    def chunked_state(self, chunks: Chunks) -> State:
        """Plain data, the rows left to ``chunks``."""
        ends = [self.start, self.stop]
        return {**self._curve(), "chunk": chunks.number(self.chunk), "ends": ends}

    def _curve(self) -> State:
        return {
            "kind": self.kind,
            "scales": self.scales,
            "curve_scales": self.curve_scales,
            "coefficients": self.coefficients,
        }

    @classmethod
    def restore(cls, state: State, chunks: Chunks | None = None) -> FrozenNeighbours:
        """Make the experts that ``state`` was taken of."""
        if chunks is not None and "chunk" in state:
            chunk, (start, stop) = chunks[state["chunk"]], state["ends"]
        else:
            chunk = Chunk.of(state["rows"], state["watts"])
            start, stop = 0, chunk.used
        curve = state["scales"], state["curve_scales"], state["coefficients"]
        return cls(chunk, start, stop, *curve)


def _said(asked: Sequence[FrozenNeighbours], rows: Floats) -> Floats:
    """What experts say of one row each: [Q, F] to [Q, E, C]."""
    scales = np.array([one.scales for one in asked])
    scaled = np.minimum(np.maximum(rows / scales, -1.0), 1.0)
    found = _nearest(asked, scaled)
    count, features = rows.shape
    near = np.empty((count, 2 * NEAREST, features))
    watts = np.empty((count, 2 * NEAREST, asked[0].components))
    for number, one in enumerate(asked):
        one.chunk.rows.take(found[number], axis=0, out=near[number])
        one.chunk.watts.take(found[number], axis=0, out=watts[number])
    shares = _shares(near / scales[:, None, :], scaled)
    drawn = _weighed(shares, watts)
    risen = _weighed(shares, _risen(asked, rows, near))
    said = np.empty((count, len(EXPERTS), watts.shape[2]))
    said[:, :2] = drawn + risen
    said[:, 2] = drawn[:, 1]
    return said


def _nearest(asked: Sequence[FrozenNeighbours], scaled: Floats) -> Indices:
    """Where the nearest of the window and of its recent part are in the chunks: [Q, 2 k].

    In a window of fewer rows than k, the first is named again; see `_shares`.
    """
    found = np.empty((len(asked), 2, NEAREST), dtype=np.intp)
    alike: dict[tuple[int, bytes], list[int]] = {}
    for number, one in enumerate(asked):
        alike.setdefault((id(one.chunk), one.scales.tobytes()), []).append(number)
    for numbers in alike.values():
        some = [asked[number] for number in numbers]
        found[numbers] = _look(some, scaled[numbers].astype(np.float32))
    found.sort(axis=2)
    return found.reshape(len(asked), -1)


def _look(asked: Sequence[FrozenNeighbours], scaled: NDArray[np.float32]) -> Indices:
    """The same [Q, 2, k] for experts that look at one chunk by the same scales."""
    start, stop = min(one.start for one in asked), max(one.stop for one in asked)
    columns = asked[0].chunk.scaled(asked[0].scales, stop)[:, start:stop]
    # The models of several ages are asked about one row after the other: one comparison for them.
    new = np.ones(len(asked), dtype=np.bool_)
    new[1:] = (scaled[1:] != scaled[:-1]).any(axis=1)
    rows = scaled[new]
    apart = np.zeros((len(rows), stop - start), dtype=np.float32)
    step = np.empty_like(apart)
    for feature in range(len(columns)):
        np.subtract(columns[feature], rows[:, feature, None], out=step)
        step *= step
        apart += step
    ends = np.array([(one.start, one.stop) for one in asked]) - start
    recent = np.maximum(ends[:, 0], ends[:, 1] - RECENT)
    of_row = np.cumsum(new) - 1
    found = np.empty((len(asked), 2, NEAREST), dtype=np.intp)
    found[:, 0] = _least(apart, of_row, ends[:, 0], ends[:, 1])
    found[:, 1] = _least(apart, of_row, recent, ends[:, 1])
    return found + start


def _least(apart: NDArray[np.float32], of_row: Indices, begins: Indices, ends: Indices) -> Indices:
    """For each question the places of the least between its ends, of its row of distances: [Q, k].

    Candidates are picked once a row. Where they cannot tell which the least of one question are,
    because too few lie between its ends or some are equal, that question's part is searched: so
    what is found depends on the question alone.
    """
    first, last = int(begins.min()), int(ends.max())
    apart = apart[:, first:last]
    if apart.shape[1] > _CANDIDATES:
        some = apart.argpartition(_CANDIDATES - 1, axis=1)[:, :_CANDIDATES]
        near = np.take_along_axis(apart, some, axis=1)[of_row]
        places = some[of_row] + first
        near[(places < begins[:, None]) | (places >= ends[:, None])] = np.inf
        order = near.argsort(axis=1)[:, : NEAREST + 1]
        found = np.take_along_axis(places, order[:, :NEAREST], axis=1)
        least = np.take_along_axis(near, order[:, NEAREST - 1 :], axis=1)
        unsure = np.flatnonzero(~(least[:, 0] < least[:, 1]) | np.isinf(least[:, 1]))
    else:
        found = np.empty((len(of_row), NEAREST), dtype=np.intp)
        unsure = np.arange(len(of_row))
    for question in unsure.tolist():
        begin, end = begins[question], ends[question]
        found[question] = begin + _searched(apart[of_row[question], begin - first : end - first])
    return found


def _searched(apart: NDArray[np.float32]) -> Indices:
    if len(apart) > NEAREST:
        return apart.argpartition(NEAREST - 1)[:NEAREST]
    places = np.zeros(NEAREST, dtype=np.intp)
    places[: len(apart)] = np.arange(len(apart))
    return places


def _shares(near: Floats, scaled: Floats) -> Floats:
    """What say each neighbour [Q, 2 k, F] has, by the inverse square of its distance: [Q, 2, k].

    One that is named twice has a greater share of the same.
    """
    apart = near - scaled[:, None, :]
    apart *= apart
    squares = apart[..., 0].copy()
    for feature in range(1, apart.shape[2]):
        squares += apart[..., feature]
    shares = (1.0 / (squares + _CLOSEST)).reshape(len(near), 2, NEAREST)
    total = shares[..., 0].copy()
    for place in range(1, NEAREST):
        total += shares[..., place]
    shares /= total[..., None]
    return shares


def _weighed(shares: Floats, values: Floats) -> Floats:
    """The neighbours' values [Q, 2 k, C] by their shares: [Q, 2, C]."""
    grouped = values.reshape(len(values), 2, NEAREST, -1)
    sums: Floats = shares[..., 0, None] * grouped[:, :, 0]
    for place in range(1, NEAREST):
        sums += shares[..., place, None] * grouped[:, :, place]
    return sums


def _risen(asked: Sequence[FrozenNeighbours], rows: Floats, near: Floats) -> Floats:
    """How much more the curves say of rows than of neighbours [Q, 2 k, F]: [Q, 2 k, C]."""
    curve_scales = np.array([one.curve_scales for one in asked])
    coefficients = np.array([one.coefficients for one in asked])
    points = np.concatenate([near, rows[:, None, :]], axis=1) / curve_scales[:, None, :]
    expand = expansion(rows.shape[1], _ORDER).expand
    terms = expand(points.reshape(-1, rows.shape[1])).reshape(*points.shape[:2], -1)
    said = np.matmul(terms, coefficients)
    risen: Floats = said[:, -1:] - said[:, :-1]
    return risen
