"""The SQLite log beside SQLite itself, in the same run on the same disk, with 10 KiB messages.

``python -m tests.bench.bench_log``
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from stream.log.protocol import Outgoing, TopicSpec
from stream.log.sqlite import SqliteLog
from stream.log.sqlite_file import PAGE_BYTES

MESSAGES = 6_000
BATCH = 500
SINGLE = 200
PARTITIONS = 4
ROUNDS = 3
VALUES = [os.urandom(10 * 1024) for _ in range(BATCH)]
SENT = [Outgoing(f"node-{row}", value) for row, value in enumerate(VALUES)]


def run() -> None:
    """Print microseconds per message, best of some rounds, and each figure's ratio to SQLite's."""
    rounds = [_measure() for _ in range(ROUNDS)]
    best = {name: min(figures[name] for figures in rounds) for name in rounds[0]}
    print(f"log: {MESSAGES} messages of 10 KiB, {PARTITIONS} partitions, batches of {BATCH}")
    for name, peer in (
        ("append, batches", "sqlite3 insert, batches"),
        ("append, batches, retention", "append, batches"),
        ("append, one by one", "sqlite3 insert, one by one"),
        ("poll", "sqlite3 select"),
        ("sqlite3 insert, batches", "sqlite3 insert, batches, not synced"),
        ("sqlite3 insert, one by one", "sqlite3 insert, one by one, not synced"),
    ):
        print(
            f"  {name:28} {best[name]:8.1f} us/message {1e6 / best[name]:9,.0f}/s"
            f"  {best[name] / best[peer]:5.2f} x {peer}"
        )


def _measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        figures = _log(Path(folder, "log.db"))
        figures |= _retention(Path(folder, "retention.db"))
        figures |= _raw(Path(folder, "raw.db"), "FULL", "")
        return figures | _raw(Path(folder, "unsynced.db"), "NORMAL", ", not synced")


def _log(path: Path) -> dict[str, float]:
    with SqliteLog(path) as log:
        log.create_topics([TopicSpec("bench", PARTITIONS), TopicSpec("single", 1)])

        def poll() -> None:
            with closing(log.reader(log.begin_offsets("bench"))) as reader:
                count = 0
                while count < MESSAGES:
                    count += len(reader.poll(BATCH, 0))

        return {
            "append, batches": _timed(lambda: log.append_many("bench", SENT), MESSAGES, BATCH),
            "poll": _timed(poll, MESSAGES, MESSAGES),
            "append, one by one": _timed(lambda: log.append_many("single", SENT[:1]), SINGLE, 1),
        }


def _retention(path: Path) -> dict[str, float]:
    with SqliteLog(path) as log:
        kept = 1024 * 10 * 1024 // PARTITIONS
        log.create_topics([TopicSpec("bench", PARTITIONS, retention_bytes=kept)])
        for _ in range(4):
            log.append_many("bench", SENT)
        return {
            "append, batches, retention": _timed(
                lambda: log.append_many("bench", SENT), MESSAGES, BATCH
            )
        }


def _raw(path: Path, synchronous: str, suffix: str) -> dict[str, float]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, value BLOB)")

        def insert(values: list[bytes]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO message (value) VALUES (?)", [(value,) for value in values]
            )
            connection.execute("COMMIT")

        def select() -> None:
            for start in range(0, MESSAGES, BATCH):
                connection.execute(
                    "SELECT id, value FROM message WHERE id > ? LIMIT ?", (start, BATCH)
                ).fetchall()

        return {
            f"sqlite3 insert, batches{suffix}": _timed(lambda: insert(VALUES), MESSAGES, BATCH),
            f"sqlite3 select{suffix}": _timed(select, MESSAGES, MESSAGES),
            f"sqlite3 insert, one by one{suffix}": _timed(lambda: insert(VALUES[:1]), SINGLE, 1),
        }


def _timed(step: Callable[[], object], messages: int, per_step: int) -> float:
    """Microseconds per message."""
    start = time.perf_counter()
    for _ in range(messages // per_step):
        step()
    return (time.perf_counter() - start) / messages * 1e6


if __name__ == "__main__":
    run()
