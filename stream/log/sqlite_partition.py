"""What is done to one partition of an SQLite log, inside a transaction of the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from stream.log.protocol import Outgoing
from stream.log.sqlite_file import OFFSET_BITS

_encode_headers = msgspec.msgpack.Encoder().encode


def insert_topic(connection: sqlite3.Connection, name: str, partitions: int) -> None:
    """Add a topic with so many empty partitions."""
    topic = connection.execute(
        "INSERT INTO topic (name, partitions) VALUES (?, ?)", (name, partitions)
    ).lastrowid
    connection.executemany(
        "INSERT INTO partition (topic, number) VALUES (?, ?)",
        [(topic, number) for number in range(partitions)],
    )


def ends(connection: sqlite3.Connection, partition: int) -> tuple[int, int]:
    """The offset of the earliest message left, and the one that the next message will have."""
    begin, end = connection.execute(
        "SELECT begin_offset, end_offset FROM partition WHERE id = ?", (partition,)
    ).fetchone()
    return begin, end


def append(
    connection: sqlite3.Connection, partition: int, batch: Sequence[Outgoing], now_ms: int
) -> None:
    """Append the batch at ``now_ms``, or at the last append's time if the clock went back."""
    end, last_ms, total = connection.execute(
        "SELECT end_offset, last_ms, appended_bytes FROM partition WHERE id = ?", (partition,)
    ).fetchone()
    appended_ms = max(now_ms, last_ms)
    base = partition << OFFSET_BITS
    rows = []
    for offset, (key, value, headers) in enumerate(batch, start=end):
        packed = _encode_headers(headers) if headers else None
        rows.append((base + offset, appended_ms, total, key, packed, value))
        total += len(key.encode()) + len(value)
    connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute(
        "UPDATE partition SET end_offset = ?, last_ms = ?, appended_bytes = ? WHERE id = ?",
        (end + len(batch), appended_ms, total, partition),
    )


def first_since(connection: sqlite3.Connection, partition: int, appended_ms: int) -> int:
    """The first offset appended at that time or later; the end if there is none."""
    low, high = ends(connection, partition)
    while low < high:
        middle = (low + high) // 2
        (at,) = connection.execute(
            "SELECT appended_ms FROM message WHERE id = ?", ((partition << OFFSET_BITS) + middle,)
        ).fetchone()
        low, high = (middle + 1, high) if at < appended_ms else (low, middle)
    return low


def prune(connection: sqlite3.Connection, topic: str, now_ms: int, at_most: int) -> int:
    """Delete up to so many expired messages of each partition; returns how many in all."""
    seconds, size = connection.execute(
        "SELECT retention_seconds, retention_bytes FROM topic WHERE name = ?", (topic,)
    ).fetchone()
    if seconds is None and size is None:
        return 0
    oldest_ms = 0 if seconds is None else now_ms - int(seconds * 1000)
    rows = connection.execute(
        "SELECT id, appended_bytes FROM partition "
        "WHERE topic = (SELECT id FROM topic WHERE name = ?)",
        (topic,),
    ).fetchall()
    return sum(
        _prune(connection, partition, oldest_ms, 0 if size is None else total - size, at_most)
        for partition, total in rows
    )


def _prune(
    connection: sqlite3.Connection, partition: int, oldest_ms: int, first_byte: int, at_most: int
) -> int:
    """Delete what is older, or before that byte; of those before it, the newest message stays."""
    begin, end = ends(connection, partition)
    base = partition << OFFSET_BITS
    stop = connection.execute(
        "SELECT id FROM message WHERE id >= ?1 AND id < ?2 "
        "AND appended_ms >= ?3 AND (start_bytes >= ?4 OR id = ?5) LIMIT 1",
        (base + begin, base + min(begin + at_most, end), oldest_ms, first_byte, base + end - 1),
    ).fetchone()
    kept = min(begin + at_most, end) if stop is None else stop[0] - base
    if kept > begin:
        connection.execute(
            "DELETE FROM message WHERE id >= ? AND id < ?", (base + begin, base + kept)
        )
        connection.execute("UPDATE partition SET begin_offset = ? WHERE id = ?", (kept, partition))
    return kept - begin
