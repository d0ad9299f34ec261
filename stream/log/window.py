"""A stretch of another log that cannot be changed: what a replay reads instead of the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from estimator.errors import LogUnavailableError, MisuseError, NotFoundError
from stream.complaints import Complaints
from stream.log.alone import Alone
from stream.log.closing import Closing
from stream.log.protocol import (
    Log,
    Message,
    Outgoing,
    Reader,
    TopicPartition,
    TopicSpec,
)

_log = logging.getLogger(__name__)

_AWAY: Final = "the log cannot be read, trying again"


class Span(NamedTuple):
    """The offsets of a partition from ``start`` on, up to and without ``end``."""

    start: int
    end: int


class WindowLog(Closing):
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
            self._complaints.say(_AWAY, error)
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

    def join(
        self,
        group: str,
        topics: Sequence[str],
        member: str,  # noqa: ARG002 - there is no other
        session_seconds: float,  # noqa: ARG002 - and nobody who would wait
    ) -> Alone:
        """Become the only member of a group of which nobody is told."""
        return Alone(self, group, topics)

    def close(self) -> None:
        """Close the log that this is a window of."""
        self._log.close()

    def _of(self, topic: str) -> dict[TopicPartition, Span]:
        found = {where: span for where, span in self._spans.items() if where.topic == topic}
        if not found:
            raise NotFoundError(f"topic {topic!r} does not exist")
        return found


class WindowReader:
    """A ``Reader`` that ends where the window does.

    A partition that has been read to its end is not fetched any more, however much follows.
    ``passed`` collects the partitions of which a later message came before the last one of the
    window: there are no more, for the last offsets were no messages or have been deleted.
    """

    def __init__(
        self,
        reader: Reader,
        positions: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        passed: set[TopicPartition],
    ) -> None:
        self._reader = reader
        self._ends = ends
        self._passed = passed
        self._done = {where for where, position in positions.items() if position >= ends[where]}
        self._complaints = Complaints(_log, time.monotonic)
        reader.pause(sorted(self._done))

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return the next messages, at most so many; none only once the timeout has passed.

        A log that is away has no messages: the timeout passes.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                messages = self._inside(self._reader.poll(max_messages, left))
            except LogUnavailableError as error:
                self._complaints.say(_AWAY, error)
                time.sleep(left)
                return []
            if messages or not left:
                return messages

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of polls until they are resumed; their positions stay."""
        self._reader.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Poll these partitions again, unless they have been read to their end."""
        self._reader.resume([where for where in partitions if where not in self._done])

    def close(self) -> None:
        """Give back what the reader holds."""
        self._reader.close()

    def _inside(self, messages: Sequence[Message]) -> list[Message]:
        found, done = [], set()
        for message in messages:
            where = TopicPartition(message.topic, message.partition)
            end = self._ends[where]
            if message.offset < end:
                found.append(message)
            elif where not in self._done and where not in done:
                self._passed.add(where)
            if message.offset + 1 >= end:
                done.add(where)
        if done:
            self._done |= done
            self._reader.pause(sorted(done))
        return found
