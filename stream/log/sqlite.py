"""The durable log of one machine: an SQLite file that several processes read and write at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from estimator.errors import NotFoundError
from stream.log import sqlite_partition
from stream.log.alone import JoinedAlone
from stream.log.closing import Closing
from stream.log.fairness import Turns
from stream.log.partitioning import partition_for
from stream.log.protocol import Outgoing, TopicPartition, TopicSpec
from stream.log.sqlite_file import SqliteFile
from stream.log.sqlite_reader import SqliteReader
from stream.log.topics import check_topic

PRUNE_EVERY: Final = 256
"""Messages appended to a topic by this process between two steps of retention."""
PRUNE_AT_MOST: Final = 512
"""Messages of a partition that one step deletes: more than are appended between two steps."""


class SqliteLog(JoinedAlone, Closing):
    """A ``Log`` in one SQLite file, in WAL mode and synced at every append.

    An append is one transaction: it survives a kill and a power cut whole, or leaves nothing.
    Retention frees pages for reuse; the file does not shrink. ``clock`` gives Unix seconds;
    ``busy_seconds`` is how long to wait for other writers before ``LogUnavailableError``.
    Retention by size counts the bytes of keys and values.
    """

    def __init__(
        self,
        path: str | Path,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        busy_seconds: float = 10.0,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._file = SqliteFile(Path(path), busy_seconds, sleep)
        # Neither the partitions of a topic nor their ids ever change, so they are read once.
        self._known: dict[str, dict[TopicPartition, int]] = {}
        self._unpruned: Counter[str] = Counter()

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Make sure that these topics exist; ``MisuseError`` if one has other partitions."""
        with self._file.writing() as connection:
            for spec in topics:
                row = connection.execute(
                    "SELECT partitions FROM topic WHERE name = ?", (spec.name,)
                ).fetchone()
                check_topic(spec, row and row[0])
                if row is None:
                    sqlite_partition.insert_topic(connection, spec.name, spec.partitions)
                connection.execute(
                    "UPDATE topic SET retention_seconds = ?, retention_bytes = ? WHERE name = ?",
                    (spec.retention_seconds, spec.retention_bytes, spec.name),
                )

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; ``NotFoundError`` if it does not exist."""
        return len(self._ids(topic))

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        with self._file.reading() as connection:
            return sorted(name for (name,) in connection.execute("SELECT name FROM topic"))

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Append all of them, durably, before returning; ``LogUnavailableError`` if it cannot."""
        ids = self._ids(topic)
        by_partition: dict[TopicPartition, list[Outgoing]] = {}
        for message in messages:
            where = TopicPartition(topic, partition_for(message.key, len(ids)))
            by_partition.setdefault(where, []).append(message)
        if not by_partition:
            return
        prune_due = self._unpruned[topic] + len(messages) >= PRUNE_EVERY
        if prune_due:
            self._file.restrain_wal()  # before the append, which may not fail once it is done
        with self._file.writing() as connection:
            now_ms = int(self._clock() * 1000)
            for where, batch in by_partition.items():
                sqlite_partition.append(connection, ids[where], batch, now_ms)
            if prune_due:
                at_most = max(PRUNE_AT_MOST, 2 * len(messages))
                sqlite_partition.prune(connection, topic, now_ms, at_most)
        self._unpruned[topic] = 0 if prune_due else self._unpruned[topic] + len(messages)

    def prune(self) -> int:
        """Delete now what retention no longer keeps; returns how many messages that were."""
        deleted = 0
        for topic in self.topics():
            step = None
            while step != 0:
                with self._file.writing() as connection:
                    now_ms = int(self._clock() * 1000)
                    step = sqlite_partition.prune(connection, topic, now_ms, PRUNE_AT_MOST)
                deleted += step
        return deleted

    def reader(self, positions: Mapping[TopicPartition, int]) -> SqliteReader:
        """Start reading at these offsets; ``NotFoundError`` if a partition does not exist."""
        ids: dict[TopicPartition, int] = {}
        for where in positions:
            known = self._ids(where.topic)
            if where not in known:
                raise NotFoundError(f"topic {where.topic!r} has no partition {where.partition}")
            ids[where] = known[where]
        return SqliteReader(self._file, ids, Turns(positions), self._sleep)

    def begin_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset of the earliest message left in each partition (the end's, if none is)."""
        return {where: begin for where, (begin, _) in self._bounds(topic).items()}

    def end_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset that the next message of each partition will have."""
        return {where: end for where, (_, end) in self._bounds(topic).items()}

    def offsets_for_time(self, topic: str, appended_ms: int) -> dict[TopicPartition, int]:
        """The first offset appended at that Unix time in ms or later; the end's, if none is."""
        ids = self._ids(topic)
        with self._file.reading() as connection:
            return {
                where: sqlite_partition.first_since(connection, partition, appended_ms)
                for where, partition in ids.items()
            }

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far a group has come. For lag monitoring: checkpoints hold the truth."""
        with self._file.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO committed VALUES (?, ?, ?, ?)",
                [(group, *where, position) for where, position in positions.items()],
            )

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """How far a group has said it has come."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT topic, partition, position FROM committed WHERE consumer = ?", (group,)
            )
            return {TopicPartition(topic, number): position for topic, number, position in rows}

    def close(self) -> None:
        """Close the file; readers close their own connections. What was appended stays."""
        self._file.close()

    def _ids(self, topic: str) -> dict[TopicPartition, int]:
        if topic not in self._known:
            with self._file.reading() as connection:
                rows = connection.execute(
                    "SELECT number, id FROM partition WHERE topic = "
                    "(SELECT id FROM topic WHERE name = ?) ORDER BY number",
                    (topic,),
                )
                ids = {TopicPartition(topic, number): partition for number, partition in rows}
            if not ids:
                raise NotFoundError(f"topic {topic!r} does not exist")
            self._known[topic] = ids
        return self._known[topic]

    def _bounds(self, topic: str) -> dict[TopicPartition, tuple[int, int]]:
        ids = self._ids(topic)
        with self._file.reading() as connection:
            return {
                where: sqlite_partition.ends(connection, partition)
                for where, partition in ids.items()
            }
