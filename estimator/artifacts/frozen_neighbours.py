"""Experts that look for the moments of the past that were most like the one asked about.

What the machine drew then is the best guess where a machine does what it has done before, however
bent its power is over its usage. Where it is asked about what lies between or beside what it has
done, a curve says how much more or less that is than the neighbours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.artifacts.chunks import Chunk, Chunks, Singles
from estimator.artifacts.expansion import Expansion, expansion

NEAREST: Final = 8
"""So many rows are near, and whichever else are hardly farther."""
RECENT: Final = 300
"""The neighbours of the recent past are of so many rows."""
EXPERTS: Final = ("neighbours", "recent-neighbours", "recent-alone")
"""Neighbours of the whole window and of its recent part, moved along the curve; the latter as
they are."""

_ORDER: Final = 2
CLOSEST: Final = 1e-6
"""Squares of distances below that are no distance: they would make one neighbour everything."""
_AT_ONCE: Final = 32
"""So many questions are compared at a time: as caches hold."""

UPPER_HALF: Final = int(sys.byteorder == "little")
"""Where among two halves of a float's bits the upper one is."""

INFINITE: Final = 0x7F80
"""The upper half of infinity: where fewer than enough are between the ends."""

Places = NDArray[np.intp]


class FrozenNeighbours:
    """The rows from ``start`` to ``stop`` of a chunk, and a curve of second order through them.

    ``scales`` [F] divide features before distances are measured. None is below the greatest value
    that the feature had; the greater, the less it matters.
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
    count, components = len(asked), asked[0].components
    terms = expansion(rows.shape[1], _ORDER)
    curve_scales = np.array([one.curve_scales for one in asked])
    sums = np.empty((count, 2, terms.terms + components))
    alike: dict[tuple[int, bytes], list[int]] = {}
    for number, one in enumerate(asked):
        alike.setdefault((id(one.chunk), one.curve_scales.tobytes()), []).append(number)
    for numbers in alike.values():
        if len(numbers) == count:
            sums = _look(asked, rows, terms)
        else:
            sums[numbers] = _look([asked[number] for number in numbers], rows[numbers], terms)
    coefficients = np.array([one.coefficients for one in asked])
    there = terms.expand(rows / curve_scales)[:, None, :]
    said = np.empty((count, len(EXPERTS), components))
    said[:, :2] = np.matmul(there - sums[:, :, : terms.terms], coefficients)
    said[:, :2] += sums[:, :, terms.terms :]
    said[:, 2] = sums[:, 1, terms.terms :]
    return said


def _look(asked: Sequence[FrozenNeighbours], rows: Floats, terms: Expansion) -> Floats:
    """The means of what is near in the windows and in their recent parts: [Q, 2, D + C].

    The experts look at one chunk, with curves of the same scales; the means are those of the
    curve's terms and of the watts.
    """
    chunk, scales = asked[0].chunk, asked[0].curve_scales
    ends = np.array([(one.start, one.stop) for one in asked])
    first, last = int(ends[:, 0].min()), int(ends[:, 1].max())
    columns = chunk.scaled(scales, last)[:, first:last]
    ends -= first
    apart = _apart(asked, columns, rows / scales)
    recent = np.maximum(ends[:, 0], ends[:, 1] - RECENT)
    found = []
    for begins in (ends[:, 0], recent):
        of, places, shares = _near(apart, begins, ends[:, 1])
        places += first
        near = chunk.rows.take(places, axis=0)
        values = np.concatenate([terms.expand(near / scales), chunk.watts.take(places, axis=0)], 1)
        values *= shares[:, None]
        sums = np.add.reduceat(values, of, axis=0)
        # The curve's first term is 1: its sum is that of the shares.
        found.append(sums / sums[:, :1])
    return np.stack(found, axis=1)


def _apart(asked: Sequence[FrozenNeighbours], columns: Singles, scaled: Floats) -> Singles:
    """Squares of distances of questions [Q, F] to rows [F, N]: [Q, N]."""
    matters = np.array([one.curve_scales / one.scales for one in asked]).astype(np.float32)
    within = np.minimum(np.maximum(scaled, -1.0), 1.0).astype(np.float32)
    apart = np.zeros((len(asked), columns.shape[1]), dtype=np.float32)
    step = np.empty_like(apart)
    for feature, column in enumerate(columns):
        np.subtract(column, within[:, feature, None], out=step)
        step *= matters[:, feature, None]
        step *= step
        apart += step
    return np.maximum(apart, CLOSEST, out=apart)


def _near(apart: Singles, begins: Places, ends: Places) -> tuple[Places, Places, Floats]:
    """The near of each question between its ends: where its part begins, places, shares.

    The nearest, and those that are as far as the last of them to the first two digits, have a
    share by the inverse of the square of the distance, less what one just beyond them would have.
    So none appears or disappears with a jump.
    """
    first, last = int(begins.min()), int(ends.max())
    apart = apart[:, first:last]
    begins, ends = begins - first, ends - first
    if begins.any() or (ends < last - first).any():
        places = np.arange(last - first)
        beside = (places < begins[:, None]) | (places >= ends[:, None])
        apart = np.where(beside, np.float32(np.inf), apart)
    beyond = _beyond(apart)
    of, places = np.nonzero(apart < beyond[:, None])
    shares = (1.0 / apart[of, places] - 1.0 / beyond[of]).astype(np.float64)
    starts = np.searchsorted(of, np.arange(len(apart)))
    return starts, places + first, shares


def _beyond(apart: Singles) -> Singles:
    """Just beyond the nearest of each row [Q, N]: [Q]. Infinity, where there are no more."""
    if apart.shape[1] < NEAREST:
        return np.full(len(apart), np.inf, dtype=np.float32)
    # Floats that are not negative are in the order of their bits; of these the upper half will do.
    rough = np.ascontiguousarray(apart.view(np.uint16)[:, UPPER_HALF::2])
    reach = np.partition(rough, NEAREST - 1, axis=1)[:, NEAREST - 1].astype(np.uint32)
    beyond: Singles = (np.minimum(reach + 1, INFINITE) << 16).view(np.float32)
    return beyond
