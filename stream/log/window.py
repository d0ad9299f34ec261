"""A stretch of another log that cannot be changed: what a replay reads instead of the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from estimator.errors import LogUnavailableError, MisuseError, NotFoundError
from stream.complaints import Complaints
from stream.log.alone import JoinedAlone
from stream.log.closing import Closing
from stream.log.protocol import Log, Outgoing, Reader, TopicPartition, TopicSpec
from stream.log.window_reader import AWAY, WindowReader

_log = logging.getLogger(__name__)


class Span(NamedTuple):
    """The offsets of a partition from ``start`` on, up to and without ``end``."""

    start: int
    end: int


class WindowLog(JoinedAlone, Closing):
    """A ``Log`` that has of another one these spans, for ever: what is appended later is not there.

    Nothing can be appended, and commits of offsets are not passed on, so that whoever learns from
    a window leaves no trace in the log. A log that is away is waited for. Closing it closes the
    other one.
    """

    def __init__(self, log: Log, spans: Mapping[TopicPartition, Span]) -> None:
        self._log = log
        self._spans = dict(spans)
        self._passed: set[TopicPartition] = set()
        self._complaints = Complaints(_log, time.monotonic)

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """``MisuseError``: a window cannot be changed."""
        raise MisuseError(f"{len(topics)} topics to be made: a window is for reading only")

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; ``NotFoundError`` if it does not exist."""
        return len(self._of(topic))

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        return sorted({where.topic for where in self._spans})

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """``MisuseError``: a window cannot be changed."""
        raise MisuseError(f"{len(messages)} messages for {topic!r}: a window is for reading only")

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        """Start reading at these offsets; ``NotFoundError`` if a partition is not in the window."""
        for where in positions:
            if where not in self._spans:
                raise NotFoundError(f"topic {where.topic!r} has no partition {where.partition}")
        ends = {where: self._spans[where].end for where in positions}
        self._passed = set()
        return WindowReader(self._log.reader(positions), positions, ends, self._passed)

    def begin_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset of the earliest message left in each partition (the end's, if none is)."""
        spans = self._of(topic)
        try:
            begins = self._log.begin_offsets(topic)
        except LogUnavailableError as error:
            self._complaints.say(AWAY, error)
            begins = {}
        return {
            where: end if where in self._passed else min(end, max(start, begins.get(where, 0)))
            for where, (start, end) in spans.items()
        }

    def end_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """Where the window ends in each partition."""
        return {where: span.end for where, span in self._of(topic).items()}

    def offsets_for_time(self, topic: str, appended_ms: int) -> dict[TopicPartition, int]:
        """The first offset appended at that Unix time in ms or later; the end's, if none is."""
        found = self._log.offsets_for_time(topic, appended_ms)
        return {
            where: min(end, max(start, found[where]))
            for where, (start, end) in self._of(topic).items()
        }

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Do nothing: no group is told how far a replay has come."""

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """How far a group has said it has come, in the log itself."""
        return self._log.committed(group)

    def close(self) -> None:
        """Close the log that this is a window of."""
        self._log.close()

    def _of(self, topic: str) -> dict[TopicPartition, Span]:
        found = {where: span for where, span in self._spans.items() if where.topic == topic}
        if not found:
            raise NotFoundError(f"topic {topic!r} does not exist")
        return found
