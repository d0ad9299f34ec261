"""When a simulation's next intervals are due: event time that follows the clock, or runs ahead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from estimator.errors import MisuseError
from stream.sources.protocol import Record

_HISTORY_SECONDS: Final = 86_400.0
_SHORTEST_WAIT_SECONDS: Final = 0.05
_RECORDS_PER_POLL: Final = 256


class Steps:
    """Counts the intervals that have been simulated, and says how many more have ended by now.

    ``speed`` is event time over real time; 0 stands for as fast as it is asked. Event time starts
    at ``start`` (Unix seconds; now at speed 1, else a day ago) and never gets ahead of the clock:
    once it has caught up it goes on in real time. ``duration_seconds`` ends it (never, if None).
    """

    def __init__(
        self,
        interval_seconds: float,
        start: float | None,
        speed: float,
        duration_seconds: float | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if interval_seconds <= 0:
            raise MisuseError(f"interval_seconds {interval_seconds} must be above 0")
        if speed < 0:
            raise MisuseError(f"speed is {speed}: it must be 0 (fastest) or above")
        self.interval = interval_seconds
        self.done = 0
        self._is_under_way = False
        self._speed, self._clock = speed, clock
        self._began = clock()
        default = self._began if speed == 1 else self._began - _HISTORY_SECONDS
        self._start = default if start is None else start
        self._last = None if duration_seconds is None else int(duration_seconds / interval_seconds)

    @property
    def wait_seconds(self) -> float | None:
        """How long to wait before asking again; None while there is more than real time brings."""
        if self._speed == 0:
            return None if self.due() else self.interval
        return max(self.interval / self._speed, _SHORTEST_WAIT_SECONDS)

    @property
    def ended(self) -> bool:
        """Whether the last interval has been simulated."""
        return self._last is not None and self.done >= self._last

    @property
    def seconds(self) -> float:
        """How much event time has been simulated."""
        return self.done * self.interval

    def poll(
        self,
        begin: Callable[[], Iterable[Record]],
        advance: Callable[[], Iterable[Record]],
        records_each: int,
    ) -> list[Record] | None:
        """The records of the intervals that have ended since the last poll, a bounded number.

        What there is at the ``begin`` comes first; each call of ``advance`` lets one interval pass,
        which makes about so many records. None once the last one has.
        """
        if self.ended:
            return None
        records: list[Record] = []
        if not self._is_under_way:
            self._is_under_way = True
            records += begin()
        for _ in range(min(self.due(), max(1, _RECORDS_PER_POLL // records_each))):
            records += advance()
        return records

    def due(self) -> int:
        """How many intervals have ended by now and are not simulated yet."""
        now = self._clock()
        elapsed = now - self._began
        newest = max(now, self._start + elapsed)
        if self._speed:
            newest = min(newest, self._start + elapsed * self._speed)
        # A nanosecond of grace: sums of intervals are not exact.
        found = int((newest - self._start) / self.interval + 1e-9)
        found = found if self._last is None else min(found, self._last)
        return max(0, found - self.done)

    def at(self, seconds: float) -> int:
        """The Unix time in ms of a moment so long after the start."""
        return round((self._start + seconds) * 1000)
