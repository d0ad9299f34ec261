"""What the logs without a server keep to beside the contract: manual clock, prompt retention."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.log.protocol import Log, Outgoing, TopicPartition, TopicSpec
from tests.stream.log.contract import (
    LogContract,
    keys_of_all_partitions,
    new_topic,
    numbered,
    on_one_log,
    read_topic,
    take,
    take_all,
    values,
)

START = 1_700_000_000.0


class ManualClock:
    """Unix seconds that pass when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class EmbeddedLog(Log, Protocol):
    """A log that can be told to apply its retention now."""

    def prune(self) -> int: ...


class EmbeddedLogContract(LogContract):
    """Give a fixture ``embedded``, a log on the fixture ``clock``."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def log(self, embedded: EmbeddedLog) -> Log:
        return embedded

    # Time

    @on_one_log
    @given(jumps=st.lists(st.floats(-5, 10), max_size=12), asked=st.floats(-10, 60))
    def test_time_never_falls_whatever_the_clock_does(
        self, embedded: EmbeddedLog, clock: ManualClock, jumps: list[float], asked: float
    ) -> None:
        topic = new_topic(embedded)
        clock.now, expected, last = START, [], 0
        for jump in jumps:
            clock.now += jump
            last = max(last, int(clock.now * 1000))
            expected.append(last)
            embedded.append_many(topic, numbered("a", 1))
        assert [m.appended_ms for m in read_topic(embedded, topic, len(jumps))] == expected
        asked_ms = int((START + asked) * 1000)
        assert embedded.offsets_for_time(topic, asked_ms) == {
            TopicPartition(topic, 0): sum(at < asked_ms for at in expected)
        }

    # Fairness

    def test_a_flood_in_one_partition_does_not_starve_another(self, embedded: EmbeddedLog) -> None:
        busy, quiet = new_topic(embedded, 2), new_topic(embedded, 2)
        embedded.append_many(busy, numbered(keys_of_all_partitions(2)[0], 500))
        embedded.append_many(quiet, numbered("b", 3))
        positions = embedded.begin_offsets(busy) | embedded.begin_offsets(quiet)
        with closing(embedded.reader(positions)) as reader:
            polled = reader.poll(10, 0)
            assert [m.topic for m in polled].count(quiet) == 3
            assert len(polled) == 10

    def test_every_partition_has_its_turn_however_small_the_polls(
        self, embedded: EmbeddedLog
    ) -> None:
        topic = new_topic(embedded, 4)
        for key in keys_of_all_partitions(4):
            embedded.append_many(topic, numbered(key, 5))
        with closing(embedded.reader(embedded.begin_offsets(topic))) as reader:
            turns = [take(reader, 1, max_messages=1)[0].partition for _ in range(20)]
        assert [sorted(turns[start : start + 4]) for start in range(0, 20, 4)] == [[0, 1, 2, 3]] * 5

    # Retention

    @pytest.fixture
    def retained(self, embedded: EmbeddedLog) -> Callable[..., TopicPartition]:
        def make(**retention: float) -> TopicPartition:
            topic = new_topic(embedded)
            embedded.create_topics([TopicSpec(topic, 1, **retention)])  # type: ignore[arg-type]  # int or float by key
            return TopicPartition(topic, 0)

        return make

    def test_what_is_too_old_is_deleted(
        self,
        embedded: EmbeddedLog,
        clock: ManualClock,
        retained: Callable[..., TopicPartition],
    ) -> None:
        where = retained(retention_seconds=60)
        for start in range(4):
            embedded.append_many(where.topic, numbered("a", 1, start))
            clock.now += 30
        embedded.prune()  # they are 120, 90, 60 and 30 s old
        assert embedded.begin_offsets(where.topic) == {where: 2}
        assert values(read_topic(embedded, where.topic, 2)) == [2, 3]
        assert embedded.offsets_for_time(where.topic, 0) == {where: 2}
        assert embedded.prune() == 0

    def test_what_is_too_much_is_deleted_but_not_the_newest(
        self, embedded: EmbeddedLog, retained: Callable[..., TopicPartition]
    ) -> None:
        where = retained(retention_bytes=350)
        embedded.append_many(where.topic, [Outgoing("n", bytes(99))] * 10)
        embedded.prune()
        assert embedded.begin_offsets(where.topic) == {where: 7}
        embedded.append_many(where.topic, [Outgoing("n", bytes(1000))])
        embedded.prune()
        assert embedded.begin_offsets(where.topic) == {where: 10}
        assert embedded.end_offsets(where.topic) == {where: 11}

    def test_a_topic_without_retention_keeps_all(
        self, embedded: EmbeddedLog, clock: ManualClock
    ) -> None:
        topic = new_topic(embedded)
        embedded.append_many(topic, numbered("a", 3))
        clock.now += 1e9
        assert embedded.prune() == 0
        assert values(read_topic(embedded, topic, 3)) == [0, 1, 2]

    def test_a_topic_takes_the_retention_it_was_last_given(
        self,
        embedded: EmbeddedLog,
        clock: ManualClock,
        retained: Callable[..., TopicPartition],
    ) -> None:
        where = retained(retention_seconds=60)
        embedded.append_many(where.topic, numbered("a", 3))
        clock.now += 100
        embedded.create_topics([TopicSpec(where.topic, 1, retention_seconds=600)])
        assert embedded.prune() == 0

    def test_offsets_go_on_after_everything_was_deleted(
        self,
        embedded: EmbeddedLog,
        clock: ManualClock,
        retained: Callable[..., TopicPartition],
    ) -> None:
        where = retained(retention_seconds=60)
        embedded.append_many(where.topic, numbered("a", 5))
        clock.now += 100
        assert embedded.prune() == 5
        assert embedded.begin_offsets(where.topic) == embedded.end_offsets(where.topic)
        assert embedded.end_offsets(where.topic) == {where: 5}
        clock.now -= 200
        embedded.append_many(where.topic, numbered("a", 1, 5))
        (message,) = read_topic(embedded, where.topic, 1)
        assert (message.offset, message.appended_ms) == (5, int(START * 1000))

    def test_a_reader_goes_on_at_the_earliest_that_is_left(
        self,
        embedded: EmbeddedLog,
        clock: ManualClock,
        retained: Callable[..., TopicPartition],
    ) -> None:
        where = retained(retention_seconds=60)
        embedded.append_many(where.topic, numbered("a", 5))
        with closing(embedded.reader({where: 0})) as reader:
            assert values(take(reader, 2, max_messages=2)) == [0, 1]
            clock.now += 100
            embedded.append_many(where.topic, numbered("a", 3, 5))
            embedded.prune()
            found = take_all(reader, 3)
        assert [message.offset for message in found] == values(found) == [5, 6, 7]

    def test_a_position_beyond_the_end_starts_over_with_a_warning(
        self, embedded: EmbeddedLog, caplog: pytest.LogCaptureFixture
    ) -> None:
        topic = new_topic(embedded)
        embedded.append_many(topic, numbered("a", 3))
        with (
            caplog.at_level(logging.WARNING),
            closing(embedded.reader({TopicPartition(topic, 0): 900})) as reader,
        ):
            assert values(take_all(reader, 3)) == [0, 1, 2]
        (record,) = caplog.records
        assert record.getMessage() == (
            f"{topic}/0 ends at offset 3, before the position 900: reading from offset 0"
        )
