from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from estimator.errors import DamagedError, LogUnavailableError, MisuseError
from stream.log import sqlite_file
from stream.log.protocol import Message, Outgoing, TopicPartition, TopicSpec
from stream.log.sqlite import PRUNE_EVERY, SqliteLog
from stream.log.sqlite_file import SCHEMA_VERSION, SqliteFile
from tests.stream.log import processes
from tests.stream.log.contract import numbered, read_topic, take, take_all, values
from tests.stream.log.embedded import EmbeddedLogContract, ManualClock

ONE = TopicPartition("t", 0)


class TestSqliteLog(EmbeddedLogContract):
    @pytest.fixture
    def embedded(self, tmp_path: Path, clock: ManualClock) -> Iterator[SqliteLog]:
        with SqliteLog(tmp_path / "log.db", clock) as log:
            yield log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def with_topic(path: Path, **options: object) -> SqliteLog:
    log = SqliteLog(path, **options)  # type: ignore[arg-type]  # named by each test
    log.create_topics([TopicSpec("t", 1)])
    return log


# Opening


def test_everything_is_there_after_reopening(path: Path) -> None:
    with SqliteLog(path, ManualClock()) as log:
        log.create_topics([TopicSpec("t", 1), TopicSpec("u", 5)])
        log.append_many("t", [Outgoing("k", b"v", (("h", b"\xff"), ("h", b"")))])
        log.commit("g", {ONE: 1})
    with SqliteLog(path) as log:
        assert log.topics() == ["t", "u"]
        assert (log.partitions("t"), log.partitions("u")) == (1, 5)
        assert log.committed("g") == log.end_offsets("t") == {ONE: 1}
        assert read_topic(log, "t", 1) == [
            Message("t", 0, 0, 1_700_000_000_000, "k", b"v", (("h", b"\xff"), ("h", b"")))
        ]


def test_offsets_and_time_go_on_after_retention_emptied_it_and_reopening(path: Path) -> None:
    clock = ManualClock()
    with SqliteLog(path, clock) as log:
        log.create_topics([TopicSpec("t", 1, retention_seconds=60)])
        log.append_many("t", numbered("a", 5))
        clock.now += 100
        assert log.prune() == 5
    clock.now -= 500
    with SqliteLog(path, clock) as log:
        assert log.begin_offsets("t") == {ONE: 5}
        log.append_many("t", numbered("a", 1, 5))
        (message,) = read_topic(log, "t", 1)
        assert (message.offset, message.appended_ms) == (5, 1_700_000_000_000)


def test_every_connection_syncs_at_commit(path: Path) -> None:
    with SqliteLog(path):
        file = SqliteFile(path, 1, lambda seconds: None)
        with closing(file.connect()) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        file.close()


def refused(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(MisuseError) as caught:
        SqliteLog(path)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_database_is_misuse(path: Path) -> None:
    path.write_text("dear diary, " * 1000)
    assert "not an SQLite database" in refused(path)


def test_a_database_of_somebody_else_is_misuse_and_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
    assert "not a log of Wattstream" in refused(path)


def test_a_newer_schema_is_refused_by_name(path: Path) -> None:
    SqliteLog(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert f"schema version is {SCHEMA_VERSION + 1}" in refused(path)


def test_a_file_that_another_process_is_just_making_is_waited_for(path: Path) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.execute("COMMIT")

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with with_topic(path, sleep=sleep, busy_seconds=0.001) as log:
            assert log.topics() == ["t"]
        assert waits == [0.01, 0.02, 0.05]


def test_a_file_that_is_held_for_good_is_unavailable(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LogUnavailableError, match=f"{path}: another process has held it"):
            SqliteLog(path, sleep=lambda seconds: None, busy_seconds=0.001)


def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()
    with with_topic(path) as log:
        assert log.topics() == ["t"]


def test_a_path_through_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "deep" / "log.db"
    with pytest.raises(LogUnavailableError, match=str(path)):
        SqliteLog(path)


def test_a_folder_as_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailableError, match=f"{tmp_path}: unable to open"):
        SqliteLog(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log.db", "new/log.db"])
def test_a_folder_that_is_not_writable_is_unavailable(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with processes.start("open", folder / name) as opener:
        said, _ = opener.communicate(timeout=60)
    assert said.startswith(f"log {folder / name}: ")
    assert said.count("\n") == 1


# Failing


def test_another_writer_that_does_not_end_makes_it_unavailable(path: Path) -> None:
    with with_topic(path, busy_seconds=0.01) as log, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailableError, match=f"{path}: another process has held it"):
            log.append_many("t", numbered("a", 1))
        other.execute("ROLLBACK")
        log.append_many("t", numbered("a", 1))
        assert values(read_topic(log, "t", 1)) == [0]


def test_another_thread_that_does_not_end_makes_it_unavailable(path: Path) -> None:
    file = SqliteFile(path, 0.01, lambda seconds: None)
    with closing(file), ThreadPoolExecutor(1) as thread, file.writing():

        def write() -> None:
            with file.writing():
                pass

        with pytest.raises(LogUnavailableError, match="another thread has been writing"):
            thread.submit(write).result()


def test_reading_goes_on_while_another_writes(path: Path) -> None:
    with with_topic(path, busy_seconds=0.01) as log, closing(sqlite3.connect(path)) as other:
        log.append_many("t", numbered("a", 2))
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM message")
        assert values(read_topic(log, "t", 2)) == [0, 1]
        assert log.end_offsets("t") == {ONE: 2}


def test_an_append_that_fails_leaves_nothing(path: Path) -> None:
    with with_topic(path) as log:
        bad = Outgoing("a", ["not", "bytes"])  # type: ignore[arg-type]  # the failure is wanted
        with pytest.raises(sqlite3.Error):
            log.append_many("t", [*numbered("b", 3), *numbered("a", 3), bad])
        assert log.end_offsets("t") == {ONE: 0}
        log.append_many("t", numbered("a", 1))
        assert values(read_topic(log, "t", 1)) == [0]


def test_a_closed_log_is_unavailable(path: Path) -> None:
    log = with_topic(path)
    log.close()
    with pytest.raises(LogUnavailableError, match="closed"):
        log.append_many("t", numbered("a", 1))


def test_a_damaged_file_is_damaged(path: Path) -> None:
    with with_topic(path) as log:
        log.append_many("t", [Outgoing("a", bytes(5000))] * 50)
    with path.open("r+b") as file:
        file.seek(8 * 8192)
        file.write(b"\x5a" * (path.stat().st_size - 8 * 8192))
    with (
        SqliteLog(path) as log,
        closing(log.reader({ONE: 0})) as reader,
        pytest.raises(DamagedError, match=str(path)),
    ):
        reader.poll(100, 0)


@pytest.mark.slow
def test_a_full_disk_makes_it_unavailable_and_takes_nothing_that_was_acknowledged(
    path: Path,
) -> None:
    with processes.start("fill", path, "w") as writer:
        said, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    *acknowledged, failure, after = said.splitlines()
    assert failure.startswith(f"log {path}: ")
    assert acknowledged == [str(batch) for batch in range(len(acknowledged))]
    assert int(after) == len(acknowledged) > 0
    with SqliteLog(path) as log:
        assert_whole(log, "w", range(len(acknowledged) + 1))


# Waiting


def test_an_idle_poll_waits_longer_and_longer_up_to_a_bound(path: Path) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            log.append_many("t", numbered("a", 1))

    with with_topic(path, sleep=sleep) as log, closing(log.reader({ONE: 0})) as reader:
        assert values(reader.poll(10, 1000)) == [0]
        assert waits == [0.005, 0.01, 0.02, 0.04, 0.05, 0.05]


def test_a_poll_never_waits_longer_than_its_timeout(path: Path) -> None:
    waits: list[float] = []
    with with_topic(path, sleep=waits.append) as log, closing(log.reader({ONE: 0})) as reader:
        assert reader.poll(10, 0) == []
        assert waits == []
        assert reader.poll(10, 0.002) == []
        assert waits
        assert max(waits) <= 0.002


# Retention


def test_appending_keeps_the_file_small(path: Path) -> None:
    kept = 100 * 10_010
    with SqliteLog(path) as log:
        log.create_topics([TopicSpec("t", 2, retention_bytes=kept)])
        for start in range(0, 12 * PRUNE_EVERY, 32):
            log.append_many("t", [Outgoing(f"{start + row}", bytes(10_000)) for row in range(32)])
        begins, ends = log.begin_offsets("t"), log.end_offsets("t")
        assert all(100 <= ends[where] - begins[where] <= 100 + PRUNE_EVERY for where in ends)
        assert sum(ends.values()) == 12 * PRUNE_EVERY
    assert path.stat().st_size < 2 * (kept + PRUNE_EVERY * 10_000)


def test_prune_deletes_more_than_one_step_can(path: Path) -> None:
    clock = ManualClock()
    with SqliteLog(path, clock) as log:
        log.create_topics([TopicSpec("t", 1, retention_seconds=60)])
        log.append_many("t", numbered("a", 3000))
        clock.now += 61
        assert log.prune() == 3000
        assert log.begin_offsets("t") == {ONE: 3000}


def test_the_write_ahead_file_is_cut_back_once_no_reader_is_in_the_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "WAL_KEPT_BYTES", 500_000)
    monkeypatch.setattr(sqlite_file, "WAL_RESTART_MS", 10)
    wal = path.with_name("log.db-wal")
    batch = [Outgoing("a", bytes(1000))] * PRUNE_EVERY
    with with_topic(path) as log, closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchone()
        for _ in range(4):
            log.append_many("t", batch)
        assert wal.stat().st_size > 1_000_000
        reader.execute("COMMIT")
        log.append_many("t", batch)
        assert wal.stat().st_size <= 500_000
        assert log.end_offsets("t") == {ONE: 5 * PRUNE_EVERY}


# Several processes


def rows_of(messages: list[Message], writer: str) -> dict[int, list[int]]:
    """The rows that are there of each of a writer's batches."""
    found: dict[int, list[int]] = {}
    for message in messages:
        if message.key.startswith(f"{writer}-"):
            batch, row, _ = message.value.split(b" ")
            found.setdefault(int(batch), []).append(int(row))
    return found


def assert_whole(log: SqliteLog, writer: str, acknowledged: range) -> None:
    """All that was acknowledged is there, and no batch is there in part or twice."""
    ends = log.end_offsets(processes.TOPIC.name)
    messages = read_topic(log, processes.TOPIC.name, sum(ends.values()))
    found = rows_of(messages, writer)
    assert set(acknowledged) <= set(found)
    for batch, rows in found.items():
        assert sorted(rows) == list(range(processes.batch_size(batch)))
    for where, end in ends.items():
        offsets = [m.offset for m in messages if m.partition == where.partition]
        assert offsets == list(range(end))


@pytest.mark.slow
def test_processes_write_and_read_at_once(path: Path) -> None:
    batches, names = 40, ("one", "two", "three")
    count = len(names) * sum(map(processes.batch_size, range(batches)))
    others = [processes.start("read", path, count) for _ in range(2)]
    writers = [processes.start("write", path, name, 0, batches) for name in names]

    with SqliteLog(path, busy_seconds=60) as log:
        log.create_topics([processes.TOPIC])
        with closing(log.reader(log.begin_offsets(processes.TOPIC.name))) as reader:
            messages = take_all(reader, count, max_messages=50)
        for writer in writers:
            said, _ = writer.communicate(timeout=60)
            assert said.split() == [str(batch) for batch in range(batches)]
        for name in names:
            assert_whole(log, name, range(batches))

    expected = Counter(
        (name, batch, row)
        for name in names
        for batch in range(batches)
        for row in range(processes.batch_size(batch))
    )
    for other in others:
        said, _ = other.communicate(timeout=60)
        rows = [line.split() for line in said.splitlines()]
        assert Counter((name, int(batch), int(row)) for name, batch, row in rows) == expected
    for name in names:
        for key in range(processes.KEYS):
            seen = [
                tuple(map(int, message.value.split(b" ")[:2]))
                for message in messages
                if message.key == f"{name}-{key}"
            ]
            assert seen == sorted(seen)


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 5, 23])
def test_a_writer_killed_anywhere_loses_nothing_and_leaves_nothing_in_part(
    path: Path, acknowledged: int
) -> None:
    with processes.start("write", path, "w", 0, 1_000_000) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    whole = [line for line in lines if line.endswith("\n")]
    with SqliteLog(path) as log:
        assert_whole(log, "w", range(len(whole)))
        log.append_many(processes.TOPIC.name, processes.batch_of("after", 5))
        assert_whole(log, "after", range(5, 6))


@pytest.mark.slow
def test_a_writer_killed_between_two_rows_of_a_batch_leaves_none_of_it(path: Path) -> None:
    with SqliteLog(path) as log:
        log.create_topics([processes.TOPIC])
        log.append_many(processes.TOPIC.name, processes.batch_of("w", 3))
        ends = log.end_offsets(processes.TOPIC.name)
        with processes.start("die", path, "w", 4) as writer:
            writer.communicate(timeout=60)
        assert writer.returncode == -signal.SIGKILL
        assert log.end_offsets(processes.TOPIC.name) == ends
        log.append_many(processes.TOPIC.name, processes.batch_of("w", 5))
        assert_whole(log, "w", range(3, 4))
        with closing(log.reader(ends)) as reader:
            found = take(reader, processes.batch_size(5))
        assert set(rows_of(found, "w")) == {5}
