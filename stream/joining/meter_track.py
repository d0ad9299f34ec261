"""What the readings of any meter have in common: times in order, and forgetting."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, Literal

Verdict = Literal["kept", "duplicate", "late"]

MOST_READINGS: Final = 256
"""So many readings of a meter are kept while no usage asks for them."""
_LONGEST_SPACING_MS: Final = 120_000


class MeterTrack:
    """The times of a meter's readings, in order; subclasses keep what was read."""

    def __init__(self) -> None:
        self.components: tuple[str, ...] = ()
        self.resets, self.orphaned = 0, 0
        self.spacing_ms = _LONGEST_SPACING_MS
        """How far apart the last two readings were: so long the next one may be in coming."""
        self._at: list[int] = []

    @property
    def newest(self) -> int:
        """The time of the latest reading, in Unix ms; -1 before the first."""
        return self._at[-1] if self._at else -1

    def forget_before(self, at: int) -> None:
        """Drop the readings that no interval from ``at`` on needs."""
        if len(self._at) > 1 and self._at[1] <= at:
            self._drop(bisect_right(self._at, at) - 1)

    def _around(self, start: int, end: int) -> tuple[int, int] | None:
        """The last reading up to ``start`` and the first from ``end`` on, if there are both."""
        first = bisect_right(self._at, start) - 1
        last = bisect_left(self._at, end)
        return None if first < 0 or last >= len(self._at) else (first, last)

    def _space(self, at: int) -> None:
        """Note how long a reading that is newer than all others was in coming."""
        if self._at and at > self._at[-1]:
            self.spacing_ms = min(at - self._at[-1], _LONGEST_SPACING_MS)

    def _bound(self) -> None:
        surplus = len(self._at) - MOST_READINGS
        if surplus > 0:
            self.orphaned += surplus
            self._drop(surplus)

    def _drop(self, count: int) -> None:
        raise NotImplementedError


def between(
    place: int, at: int, times: list[int], values: list[tuple[float, ...]]
) -> tuple[float, ...]:
    """The values at a time next to a reading, linearly interpolated; exact at the reading."""
    there = times[place]
    if there == at:
        return values[place]
    other = place + 1 if there < at else place - 1
    share = (at - there) / (times[other] - there)
    return tuple(a + share * (b - a) for a, b in zip(values[place], values[other], strict=True))
