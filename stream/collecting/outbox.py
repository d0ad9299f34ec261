"""Records on their way from a source to the log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import NamedTuple, Protocol

from estimator.errors import RefusedError
from stream.joining.rivals import HEADER
from stream.log.protocol import Outgoing
from stream.records import encode, topic_of
from stream.sources.protocol import Record

_log = logging.getLogger(__name__)


class Appender(Protocol):
    """The part of a log that a collector needs."""

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Append all of them, durably; ``LogUnavailableError`` if it cannot.

        ``RefusedError`` if it will never take some of them: it has all others then.
        """
        ...


class Counts(NamedTuple):
    """What became of the records of an outbox: each counts in one place, at any moment."""

    appended: int = 0
    """The log has them."""
    refused: int = 0
    """The log will never take them."""
    dropped: int = 0
    """The log was never asked to take them: there was no room, or no time left."""
    unsure: int = 0
    """They were offered until the end, and the log has not said whether it has them."""
    buffered: int = 0
    """They wait."""


class Outbox:
    """Keeps records in order until the log has them: one thread puts, another flushes.

    Batches are small and hold both topics, so that neither runs far ahead of the other. What has
    been offered to the log may be there in part, whatever error came back. So it is kept apart,
    offered again before anything else, and never dropped: only records that were never offered
    are, the oldest first, when more than ``capacity`` wait. The records of one ``put`` are kept
    whole even if they are more. Records may arrive twice if the log fails after
    it has written; the first time, they come in order within a topic. Each says in a header which
    ``collector`` it is from.
    """

    def __init__(
        self,
        log: Appender,
        *,
        capacity: int = 10_000,
        batch_records: int = 500,
        collector: str = "",
    ) -> None:
        self._log = log
        self._headers = ((HEADER, collector.encode()),) if collector else ()
        self._capacity = capacity
        # What is being offered is out of reach of dropping: it may not fill a small buffer.
        self._batch_records = min(batch_records, 1 + capacity // 4)
        self._lock = Lock()
        self._waiting: deque[tuple[str, Outgoing]] = deque()
        self._batch: dict[str, list[Outgoing]] = {}
        self._offered: set[str] = set()
        """The topics of the batch that the log has been asked to take."""
        self._counts = Counts()
        self._closed = False

    def __len__(self) -> int:
        with self._lock:
            return self._buffered()

    @property
    def counts(self) -> Counts:
        """What has become of all records that were put here."""
        with self._lock:
            return self._counts._replace(buffered=self._buffered())

    def put(self, records: Iterable[Record], *, drop: bool = True) -> int:
        """Queue records in order of event time, encoded and keyed by node.

        Returns how many, older than these, were dropped to make room: none, without ``drop``.
        """
        coming = [
            (topic_of(record), Outgoing(record.node, encode(record), self._headers))
            for record in sorted(records, key=lambda record: record.at)
        ]
        with self._lock:
            self._waiting.extend(coming)
            if self._closed:
                return self._drop(len(coming))
            room = max(len(coming), self._capacity - self._in_batch())
            return self._drop(max(0, len(self._waiting) - room)) if drop else 0

    def flush(self) -> None:
        """Append all that waits; an error of the log leaves what it has not taken."""
        while topics := self._next_batch():
            for topic in topics:
                self._offer(topic)

    def close(self) -> tuple[int, int]:
        """Give up what waits: no more is offered, and what is put from now on is dropped.

        Returns how many were ``dropped`` by that, and how many are ``unsure``. Any thread may
        call this, also during a flush.
        """
        with self._lock:
            self._closed = True
            unsure = sum(len(self._batch[topic]) for topic in self._offered)
            dropped = self._buffered() - unsure
            self._waiting.clear()
            self._batch.clear()
            self._offered.clear()
            self._count(dropped=dropped, unsure=unsure)
            return dropped, unsure

    def _next_batch(self) -> list[str]:
        """The topics of the batch that was not taken whole, else of the next one."""
        with self._lock:
            if not self._batch:
                for _ in range(min(self._batch_records, len(self._waiting))):
                    topic, message = self._waiting.popleft()
                    self._batch.setdefault(topic, []).append(message)
            return list(self._batch)

    def _offer(self, topic: str) -> None:
        with self._lock:
            messages = self._batch.get(topic)
            if messages is None:  # It has been closed.
                return
            self._offered.add(topic)
        refused = 0
        try:
            self._log.append_many(topic, messages)
        except RefusedError as error:
            # The log has all others; offering these again would end the same way for ever.
            _log.warning("the log refuses records for %s: %s", topic, error)
            refused = len(error.refused)
        with self._lock:
            if self._batch.pop(topic, None) is not None:
                self._offered.discard(topic)
                self._count(appended=len(messages) - refused, refused=refused)

    def _buffered(self) -> int:
        return len(self._waiting) + self._in_batch()

    def _in_batch(self) -> int:
        return sum(map(len, self._batch.values()))

    def _drop(self, count: int) -> int:
        for _ in range(count):
            self._waiting.popleft()
        self._count(dropped=count)
        return count

    def _count(self, **more: int) -> None:
        changed = {name: getattr(self._counts, name) + count for name, count in more.items()}
        self._counts = self._counts._replace(**changed)
