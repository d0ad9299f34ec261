"""ADWIN: a window of the past that is as long as the past is of one kind.

Bifet and Gavaldà, Learning from Time-Changing Data with Adaptive Windowing (2007): the window is
kept as an exponential histogram, in memory that grows with the logarithm of its length, and is cut
where the means before and after the cut differ by more than chance allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats, State

MOST_ALIKE: Final = 5
"""So many buckets of one size are kept before the oldest two of them become one."""

_AT_LEAST_EVERY: Final = 32
"""A cut is looked for after so many values even if none is high."""


class Cut(NamedTuple):
    """Where the past became another: the stream that showed it, and its means on both sides."""

    stream: int
    before: float
    after: float
    kept: int
    """How many values the window still has: those after the cut."""


class Adwin:
    """One window over C streams of values from 0 to 1, cut for all of them when one rises.

    A cut needs means that differ by more than chance explains (but for a share ``confidence`` of
    all windows of independent values), the later at least ``ratio`` times the earlier, and
    ``shortest`` values on either side. A fall is no alarm: what lies before it is dropped silently.
    It is looked for at every ``clock``-th value if the latest are as high as that, and now and then
    anyway. ``shortest`` is at most `MOST_ALIKE`.
    """

    def __init__(
        self,
        streams: int,
        *,
        confidence: float,
        ratio: float,
        shortest: int = 5,
        clock: int = 1,
        longest: int = 1 << 15,
    ) -> None:
        self._confidence = confidence / max(streams, 1)
        self._ratio = ratio
        self._shortest, self._clock, self._longest = shortest, clock, longest
        self._sizes: list[int] = []
        # Of each bucket the sums of its values, then those of their squares. They are few, and one
        # value comes at a time: plain numbers cost less than arrays.
        self._sums: list[list[float]] = []
        self._seen = 0
        self._length = 0
        self._high = [0.0] * streams

    @property
    def length(self) -> int:
        """How many values of each stream the window has."""
        return self._length

    def update(self, values: Sequence[float]) -> Cut | None:
        """Take in one value of each stream, [C]; the cut that it shows, which has been made."""
        self._sizes.append(1)
        self._sums.append([*values, *[value * value for value in values]])
        self._length += 1
        if len(self._sizes) > MOST_ALIKE and self._sizes[-MOST_ALIKE - 1] == 1:
            self._merge()
        self._seen += 1
        if self._seen % self._clock or self._length < 2 * self._shortest:
            return None
        # A rise shows first in the latest values, and most are not high: looking for a cut is dear.
        if not self._seen % _AT_LEAST_EVERY:
            return self._cut()
        latest = self._sums[-self._shortest :]
        for stream, high in enumerate(self._high):
            if values[stream] >= high and values[stream] > 0.0:
                mean = sum(sums[stream] for sums in latest) / len(latest)
                if mean >= high:
                    return self._cut()
        return None

    def _merge(self) -> None:
        """Make one of the oldest two buckets of each size that has too many."""
        end = len(self._sizes)
        while end:
            size, begin = self._sizes[end - 1], end
            while begin and self._sizes[begin - 1] == size:
                begin -= 1
            if end - begin <= MOST_ALIKE:
                break
            self._sizes[begin : begin + 2] = [2 * size]
            pair = zip(self._sums[begin], self._sums[begin + 1], strict=True)
            self._sums[begin : begin + 2] = [[one + other for one, other in pair]]
            end = begin + 1
        if self._sizes[0] > self._longest // MOST_ALIKE:
            self._drop(1)

    def _drop(self, buckets: int) -> None:
        self._length -= sum(self._sizes[:buckets])
        del self._sizes[:buckets]
        del self._sums[:buckets]

    def _cut(self) -> Cut | None:
        """Cut where the difference exceeds chance the most; what rose there, if anything did."""
        sizes = np.array(self._sizes, dtype=np.float64)
        sums = np.cumsum(self._rows(), axis=0)
        total, length = sums[-1], float(sizes.sum())
        self._high = (self._ratio * (total[0] / length)).tolist()
        n0 = np.cumsum(sizes)[:-1, None]
        n1 = length - n0
        before = sums[:-1, 0] / n0
        after = (total[0] - sums[:-1, 0]) / n1
        variance = np.maximum(total[1] / length - (total[0] / length) ** 2, 0.0)
        chance = self._chance(1.0 / n0 + 1.0 / n1, variance, length)
        rise = (after - before) / chance
        long_enough = (n1 >= self._shortest) & (n0 >= self._shortest)
        rose = np.where(long_enough & (after >= self._ratio * before), rise, -np.inf)
        place, stream = np.unravel_index(int(np.argmax(rose)), rose.shape)
        if rose[place, stream] > 1.0:
            self._drop(int(place) + 1)
            means = float(before[place, stream]), float(after[place, stream])
            return Cut(int(stream), *means, self.length)
        fell = np.where(long_enough, -rise, -np.inf).min(axis=1)
        furthest = int(np.argmax(fell))
        if fell[furthest] > 1.0:
            self._drop(furthest + 1)
        return None

    def _rows(self) -> Floats:
        """Of each bucket the sums of its values and of their squares: [N, 2, C]."""
        return np.array(self._sums).reshape(-1, 2, len(self._high))

    def _chance(self, parts: Floats, variance: Floats, length: float) -> Floats:
        """By how much means may differ by chance: the bound of Bernstein that the paper uses."""
        logarithm = math.log(2.0 * math.log(max(length, math.e)) / self._confidence)
        bound: Floats = np.sqrt(2.0 * parts * variance * logarithm) + 2.0 / 3.0 * parts * logarithm
        return bound

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {
            "sizes": list(self._sizes),
            "rows": self._rows(),
            "seen": self._seen,
            "high": list(self._high),
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._sizes = [int(size) for size in state["sizes"]]
        self._sums = [row.ravel().tolist() for row in state["rows"]]
        self._seen, self._high = state["seen"], list(state["high"])
        self._length = sum(self._sizes)
