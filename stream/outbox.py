"""Records on their way from a source to the log."""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from estimator.errors import RecordError
from stream.log.protocol import Outgoing
from stream.records import POWER_TOPIC, USAGE_TOPIC, UsageRecord, encode
from stream.sources.protocol import Record

_log = logging.getLogger(__name__)


class Appender(Protocol):
    """The part of a log that a collector needs."""

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Append all of them, durably; ``LogUnavailableError`` if it cannot.

        ``RecordError`` if it will never take some of them: it has all others then.
        """
        ...


class Outbox:
    """Keeps records in order until the log has them.

    Batches are small and hold both topics, so that neither runs far ahead of the other. What the
    log refused stays, in order, and is offered again; records may arrive twice if the log fails
    after it has written, never in another order within a topic.
    """

    def __init__(self, log: Appender, *, batch_records: int = 500) -> None:
        self._log = log
        self._batch_records = batch_records
        self._waiting: deque[tuple[str, Outgoing]] = deque()
        self.appended = 0
        self.dropped = 0
        self.refused = 0
        """Appends of which the log took all but some records, which it never will."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, records: Iterable[Record]) -> None:
        """Queue records in order of event time, encoded and keyed by node."""
        for record in sorted(records, key=lambda record: record.at):
            topic = USAGE_TOPIC if isinstance(record, UsageRecord) else POWER_TOPIC
            self._waiting.append((topic, Outgoing(record.node, encode(record))))

    def flush(self) -> None:
        """Append all that waits; an error of the log leaves what it has not taken."""
        while self._waiting:
            batch = list(itertools.islice(self._waiting, self._batch_records))
            topics: dict[str, list[Outgoing]] = defaultdict(list)
            for topic, message in batch:
                topics[topic].append(message)
            done: set[str] = set()
            try:
                for topic, messages in topics.items():
                    self._append(topic, messages)
                    done.add(topic)
            finally:
                for _ in batch:
                    self._waiting.popleft()
                self._waiting.extendleft(item for item in reversed(batch) if item[0] not in done)

    def _append(self, topic: str, messages: Sequence[Outgoing]) -> None:
        try:
            self._log.append_many(topic, messages)
        except RecordError as error:
            # The log has all others; offering this one again would end the same way for ever.
            _log.warning("the log refuses a record for %s: %s", topic, error)
            self.refused += 1
        self.appended += len(messages)

    def trim(self, capacity: int) -> int:
        """Drop the oldest records beyond the capacity; how many is returned and counted."""
        excess = max(0, len(self._waiting) - capacity)
        for _ in range(excess):
            self._waiting.popleft()
        self.dropped += excess
        return excess
