from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from estimator.errors import LogUnavailableError
from stream.log import reading
from stream.log.memory import MemoryLog, MemoryReader
from stream.log.protocol import Log, Message, Outgoing, TopicPartition, TopicSpec
from stream.log.reading import read_between
from stream.log.sqlite import SqliteLog

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    with MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.sqlite") as log:
        log.create_topics([TopicSpec("t", 2)])
        yield log


def fill(log: Log, count: int) -> None:
    for number in range(count):
        log.append_many("t", [Outgoing("node-0", b"%d" % number), Outgoing("node-1", b"x")])


def places(messages: Iterator[Message]) -> set[tuple[int, int]]:
    return {(message.partition, message.offset) for message in messages}


def test_what_is_between_is_read_and_nothing_else(log: Log) -> None:
    log.append_many("t", [Outgoing(f"node-{n}", b"") for n in range(20)])
    ends = log.end_offsets("t")
    fill(log, 5)
    assert sum(ends.values()) == 20
    begins = {ZERO: 2, ONE: 1}
    expected = {(w.partition, at) for w, end in ends.items() for at in range(begins[w], end)}
    assert places(read_between(log, begins, ends)) == expected
    assert places(read_between(log, ends, ends)) == set()
    assert places(read_between(log, {ZERO: 0}, ends)) == {(0, at) for at in range(ends[ZERO])}


def test_what_retention_has_deleted_is_left_out() -> None:
    with MemoryLog() as log:
        log.create_topics([TopicSpec("t", 1, retention_bytes=10)])
        for number in range(30):
            log.append_many("t", [Outgoing("a", b"%d" % number)])
        begin = log.begin_offsets("t")[ZERO]
        assert begin > 0
        assert places(read_between(log, {ZERO: 0}, {ZERO: 30})) == {
            (0, at) for at in range(begin, 30)
        }
        assert places(read_between(log, {ZERO: 0}, {ZERO: begin})) == set()


def test_a_log_that_does_not_give_what_it_has_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(self: MemoryReader, max_messages: int, timeout_seconds: float) -> list[Message]:
        return []

    with MemoryLog() as log:
        log.create_topics([TopicSpec("t", 1)])
        log.append_many("t", [Outgoing("a", b"")])
        monkeypatch.setattr(MemoryReader, "poll", silent)
        with pytest.raises(LogUnavailableError, match="t/0 should reach to offset 1, but nothing"):
            list(read_between(log, {ZERO: 0}, {ZERO: 1}))
    assert reading.PATIENCE_SECONDS > 10
