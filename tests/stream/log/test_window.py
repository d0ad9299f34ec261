from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from estimator.errors import LogUnavailableError, MisuseError, NotFoundError
from stream.log.memory import MemoryLog
from stream.log.protocol import Log, Message, Outgoing, Reader, TopicPartition, TopicSpec
from stream.log.sqlite import SqliteLog
from stream.log.window import Span, WindowLog
from tests.stream.builders import ManualClock

A, B = TopicPartition("t", 0), TopicPartition("u", 0)
SPANS = {A: Span(2, 5), B: Span(0, 0)}


def fill(log: Log, count: int) -> None:
    log.append_many("t", [Outgoing("k", b"%d" % number) for number in range(count)])


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Log]:
    with MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log") as made:
        made.create_topics([TopicSpec("t", 1), TopicSpec("u", 1)])
        fill(made, 10)
        yield made


def all_of(window: WindowLog, positions: Mapping[TopicPartition, int], size: int = 2) -> list[int]:
    found: list[Message] = []
    with closing(window.reader(positions)) as reader:
        while messages := reader.poll(size, 0.0):
            found += messages
            reader.resume(list(positions))
    return [message.offset for message in found]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_it_has_the_span_and_nothing_else(log: Log, size: int) -> None:
    window = WindowLog(log, SPANS)
    assert all_of(window, {A: 2, B: 0}, size) == [2, 3, 4]
    assert all_of(window, {A: 4}, size) == [4]
    assert all_of(window, {A: 5}, size) == []
    assert window.topics() == ["t", "u"]
    assert window.partitions("t") == 1
    assert (window.begin_offsets("t"), window.end_offsets("t")) == ({A: 2}, {A: 5})
    assert window.offsets_for_time("t", 0) == {A: 2}
    assert window.offsets_for_time("t", 2**50) == {A: 5}


def test_what_is_appended_later_is_not_there(log: Log) -> None:
    window = WindowLog(log, {A: Span(8, 10), B: Span(0, 0)})
    fill(log, 5)
    log.append_many("u", [Outgoing("k", b"")])
    assert all_of(window, {A: 8, B: 0}) == [8, 9]
    assert window.end_offsets("u") == {B: 0}


def test_it_leaves_no_trace_in_the_log(log: Log) -> None:
    window = WindowLog(log, SPANS)
    log.commit("g", {A: 1})
    window.commit("g", {A: 5})
    assert log.committed("g") == window.committed("g") == {A: 1}
    with pytest.raises(MisuseError, match="a window is for reading only"):
        window.append_many("t", [Outgoing("k", b"")])
    with pytest.raises(MisuseError, match="a window is for reading only"):
        window.create_topics([TopicSpec("v", 1)])
    assert log.end_offsets("t") == {A: 10}
    assert log.topics() == ["t", "u"]


def test_what_is_not_in_it_does_not_exist(log: Log) -> None:
    window = WindowLog(log, {A: Span(2, 5)})
    for attempt in (window.partitions, window.begin_offsets, window.end_offsets):
        with pytest.raises(NotFoundError, match="topic 'u' does not exist"):
            attempt("u")
    with pytest.raises(NotFoundError, match="has no partition 0"):
        window.reader({B: 0})


def test_what_retention_deletes_meanwhile_is_gone() -> None:
    clock = ManualClock()
    with MemoryLog(clock) as log:
        log.create_topics([TopicSpec("t", 1, retention_seconds=60)])
        fill(log, 4)
        clock.now += 50
        fill(log, 4)
        window = WindowLog(log, {A: Span(2, 6)})
        clock.now += 20
        log.prune()
        assert window.begin_offsets("t") == {A: 4}
        assert all_of(window, {A: 2}) == [4, 5]
        clock.now += 100
        log.prune()
        assert window.begin_offsets("t") == {A: 6}


class Paused:
    """A log whose readers tell what they were asked, and whose polls follow a script."""

    def __init__(self, script: Callable[[int], list[Message]]) -> None:
        self.script, self.polls, self.paused = script, 0, set[TopicPartition]()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    def begin_offsets(self, topic: str) -> dict[TopicPartition, int]:
        raise LogUnavailableError("away")

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        return self  # type: ignore[return-value]  # what a window needs of one

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        self.polls += 1
        return self.script(self.polls)

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= set(partitions)


def at(offset: int) -> Message:
    return Message(*A, offset, 0, "k", b"")


def test_a_partition_that_has_ended_is_fetched_no_more() -> None:
    log = Paused(lambda poll: [at(poll)])
    reader = WindowLog(log, SPANS).reader({A: 2, B: 0})
    assert log.paused == {B}
    for _ in range(3):
        reader.poll(10, 0.0)
        assert A not in log.paused
    assert reader.poll(10, 0.0) == [at(4)]
    assert log.paused == {A, B}
    reader.resume([A, B])
    assert log.paused == {A, B}


def test_an_end_that_is_no_message_is_passed_all_the_same() -> None:
    """A transaction's marker, say: the next message comes from beyond the end."""
    log = Paused(lambda poll: [[at(3)], [at(7), at(8)]][poll - 1] if poll < 3 else [])
    window = WindowLog(log, SPANS)
    reader = window.reader({A: 2})
    assert reader.poll(10, 0.0) == [at(3)]
    assert window.begin_offsets("t") == {A: 2}
    assert reader.poll(10, 0.0) == []
    assert window.begin_offsets("t") == {A: 5}  # as if retention had deleted the rest
    assert A in log.paused
    window.reader({A: 2})  # it has not come so far
    assert window.begin_offsets("t") == {A: 2}


def test_a_log_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    def script(poll: int) -> list[Message]:
        if poll < 4:
            raise LogUnavailableError("the broker is away")
        return [at(3)]

    log = Paused(script)
    window = WindowLog(log, SPANS)
    reader = window.reader({A: 2})
    assert [reader.poll(10, 0.01) for _ in range(3)] == [[], [], []]
    assert reader.poll(10, 0.01) == [at(3)]
    assert caplog.text.count("the log cannot be read, trying again: the broker is away") == 1
