"""Reading an SQLite log: batches from one snapshot, and a wait that is short but costs little."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from stream.log.fairness import Span, Turns
from stream.log.protocol import Message, TopicPartition
from stream.log.sqlite_file import OFFSET_BITS, SqliteFile, transaction

SHORTEST_WAIT_SECONDS: Final = 0.005
LONGEST_WAIT_SECONDS: Final = 0.05

Headers = tuple[tuple[str, bytes], ...]
decode_headers = msgspec.msgpack.Decoder(Headers).decode

_READ = "SELECT id - ?1, appended_ms, key, value, headers FROM message WHERE id >= ?2 AND id < ?3"


class SqliteReader:
    """A ``Reader`` of an SQLite log, with a connection of its own.

    SQLite tells nobody that something was appended. While there is nothing new, a poll asks for
    the file's ``data_version`` after 5 ms, 10 ms, 20 ms, 40 ms, then every 50 ms.
    """

    def __init__(
        self,
        file: SqliteFile,
        ids: Mapping[TopicPartition, int],
        turns: Turns,
        sleep: Callable[[float], None],
    ) -> None:
        self._file = file
        self._ids = dict(ids)
        self._turns = turns
        self._sleep = sleep
        self._connection = file.connect()
        self._nothing_new_in: int | None = None

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return the next messages, at most so many; none only once the timeout has passed.

        All of them are from one state of the file. Raises ``LogUnavailableError`` when the file
        cannot be read now; the positions are then as they were.
        """
        deadline = time.monotonic() + timeout_seconds
        wait = SHORTEST_WAIT_SECONDS
        while True:
            messages = self._read(max_messages)
            left = deadline - time.monotonic()
            if messages or left <= 0:
                return messages
            self._sleep(min(wait, left))
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of polls until they are resumed."""
        self._turns.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Poll these partitions again."""
        self._turns.resume(partitions)
        self._nothing_new_in = None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _read(self, limit: int) -> list[Message]:
        messages: list[Message] = []
        with self._file.failures(), transaction(self._connection, "BEGIN"):
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._nothing_new_in:
                return messages
            spans = self._turns.plan(self._bounds().__getitem__, limit)
            for span in spans:
                messages += self._fetch(span)
        self._turns.took(spans)
        self._nothing_new_in = None if spans else version
        return messages

    def _bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        rows: list[tuple[int, int, int]] = self._connection.execute(
            "SELECT id, begin_offset, end_offset FROM partition"
        ).fetchall()
        bounds = {partition: (begin, end) for partition, begin, end in rows}
        return {where: bounds[partition] for where, partition in self._ids.items()}

    def _fetch(self, span: Span) -> list[Message]:
        topic, number = span.partition
        base = self._ids[span.partition] << OFFSET_BITS
        rows: sqlite3.Cursor = self._connection.execute(
            _READ, (base, base + span.first, base + span.stop)
        )
        return [
            Message(topic, number, offset, appended_ms, key, value, decode_headers(headers))
            if headers
            else Message(topic, number, offset, appended_ms, key, value)
            for offset, appended_ms, key, value, headers in rows
        ]
