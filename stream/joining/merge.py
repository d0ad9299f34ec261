"""One order for the two topics of a partition: a function of the records, not of the polls.

The earlier record (event time) goes first. One that stands alone waits for the other topic, but
not for ever: a record that the log took more than ``patience`` after another is no longer waited
for, neither now nor when the same topics are read again. Both cases follow from what the log has
written down, so a restart, a replay and a slow network see the same order: that nothing has come
of the other topic is believed only once the log has been read to its end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from stream.log.protocol import Message
from stream.records import PowerRecord, UsageRecord

PATIENCE_SECONDS: Final = 10.0
_SETTLED_MS: Final = 250
"""Longer than what the log takes may take to become visible."""


class Entry(NamedTuple):
    """A message and what it says; no record if it could not be read (``reason`` says why).

    Nor is there one if it is ``left_out``: sound for all that is known, but not asked for.
    """

    message: Message
    record: UsageRecord | PowerRecord | None
    reason: str = ""
    left_out: bool = False


class Merge:
    """Entries of the usage and the power topic of one partition, waiting for their turn.

    ``at_end`` tells of a topic (0 is usage, 1 is power) without queued entries whether all that
    the log has of it now has been added.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        at_end: Callable[[int], bool],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._clock, self._at_end = clock, at_end
        self._silent_until_ms = [-math.inf, -math.inf]
        self._patience_ms = round(patience_seconds * 1000)
        self._queues: tuple[deque[Entry], deque[Entry]] = (deque(), deque())
        self.ended = [False, False]
        """Whether nothing more will come of usage and of power (a replay's end is reached)."""

    def add(self, topic: int, entry: Entry) -> None:
        """Queue an entry of the usage (0) or the power (1) topic."""
        self._queues[topic].append(entry)

    def put_back(self, topic: int, entry: Entry) -> None:
        """Queue an entry again, as the next of its topic: it could not be processed now."""
        self._queues[topic].appendleft(entry)

    def waiting(self, topic: int) -> int:
        """How many entries of a topic are queued."""
        return len(self._queues[topic])

    def next(self) -> Entry | None:
        """The entry whose turn it is; None if that cannot be known yet."""
        usage, power = self._queues
        if usage and power:
            return self._first(usage, power).popleft()
        for topic, queue in enumerate(self._queues):
            if queue and (
                queue[0].record is None
                or self.ended[1 - topic]
                or self._waited(queue[0], 1 - topic)
            ):
                return queue.popleft()
        return None

    def _first(self, usage: deque[Entry], power: deque[Entry]) -> deque[Entry]:
        u, p = usage[0], power[0]
        if u.record is None:
            return usage
        if p.record is None:
            return power
        apart = p.message.appended_ms - u.message.appended_ms
        if abs(apart) > self._patience_ms:
            return usage if apart > 0 else power
        return usage if u.record.at <= p.record.at else power

    def _waited(self, entry: Entry, other: int) -> bool:
        """Whether the other topic has nothing that was appended soon enough after the entry."""
        enough = entry.message.appended_ms + self._patience_ms + _SETTLED_MS
        if enough < self._silent_until_ms[other]:
            return True
        now = self._clock() * 1000
        if enough >= now or not self._at_end(other):
            return False
        self._silent_until_ms[other] = now
        return True
