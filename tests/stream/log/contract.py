"""What every log keeps to. A test file per implementation subclasses it and gives the fixture.

Only the Protocol is used, under topic names that nobody else has, and nothing is expected to be
visible at once: the suite runs unchanged on a log behind a network.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estimator.errors import MisuseError, NotFoundError
from stream.log.partitioning import partition_for
from stream.log.protocol import (
    Log,
    Membership,
    Message,
    Outgoing,
    Reader,
    TopicPartition,
    TopicSpec,
)

PATIENCE_SECONDS = 60.0
"""How long something that must come may take."""
GLANCE_SECONDS = 0.02
"""How long to look out for something that must not come."""

keys = st.text(st.characters(codec="utf-8"), max_size=8)
headers = st.lists(
    st.tuples(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), st.binary(max_size=5)),
    max_size=2,
).map(tuple)
outgoing = st.builds(Outgoing, keys, st.binary(max_size=30), headers)
batches = st.lists(st.lists(outgoing, max_size=8), max_size=5)

on_one_log = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
"""Every example takes a topic of its own, so that sharing the log does no harm."""


def new_topic(log: Log, partitions: int = 1) -> str:
    topic = f"contract.{uuid4().hex}"
    log.create_topics([TopicSpec(topic, partitions)])
    return topic


def numbered(key: str, count: int, start: int = 0) -> list[Outgoing]:
    return [Outgoing(key, b"%d" % number) for number in range(start, start + count)]


def keys_of_all_partitions(partitions: int) -> list[str]:
    """One key for each partition, in the partitions' order."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        found.setdefault(partition_for(f"node-{number}", partitions), f"node-{number}")
        number += 1
    return [found[partition] for partition in range(partitions)]


def take(reader: Reader, count: int, max_messages: int = 1000) -> list[Message]:
    """Poll until so many have come; fails if one poll brings none in all its time."""
    messages: list[Message] = []
    while len(messages) < count:
        polled = reader.poll(max_messages, PATIENCE_SECONDS)
        assert polled, f"{len(messages)} of {count} messages came"
        assert len(polled) <= max_messages
        messages += polled
    return messages


def take_all(reader: Reader, count: int, max_messages: int = 1000) -> list[Message]:
    """Poll until so many have come, and see that no more come after them."""
    messages = take(reader, count, max_messages)
    assert reader.poll(max_messages, GLANCE_SECONDS) == []
    assert len(messages) == count
    return messages


def read_topic(log: Log, topic: str, count: int) -> list[Message]:
    with closing(log.reader(log.begin_offsets(topic))) as reader:
        return take_all(reader, count)


def by_partition(messages: Sequence[Message]) -> dict[int, list[Message]]:
    found: dict[int, list[Message]] = defaultdict(list)
    for message in messages:
        found[message.partition].append(message)
    return found


def as_sent(message: Message) -> Outgoing:
    return Outgoing(message.key, message.value, message.headers)


def values(messages: Sequence[Message]) -> list[int]:
    return [int(message.value) for message in messages]


class LogContract:
    """Give a ``log`` fixture; it may be shared among tests, even with other users."""

    # Topics

    def test_topics_are_made_and_listed(self, log: Log) -> None:
        one, two = new_topic(log, 1), new_topic(log, 3)
        assert {one, two} <= set(log.topics())
        assert log.topics() == sorted(log.topics())
        assert (log.partitions(one), log.partitions(two)) == (1, 3)

    def test_making_a_topic_again_keeps_its_messages(self, log: Log) -> None:
        topic = new_topic(log, 2)
        log.append_many(topic, numbered("a", 3))
        log.create_topics([TopicSpec(topic, 2)])
        assert values(read_topic(log, topic, 3)) == [0, 1, 2]

    def test_another_partition_count_is_misuse_and_names_both(self, log: Log) -> None:
        topic = new_topic(log, 2)
        with pytest.raises(MisuseError, match=rf"{topic}.* 2 partitions, 5 "):
            log.create_topics([TopicSpec(topic, 5)])
        assert log.partitions(topic) == 2

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "ä", "n" * 250])
    def test_names_that_some_log_would_refuse_are_misuse(self, log: Log, name: str) -> None:
        with pytest.raises(MisuseError, match="a name is"):
            log.create_topics([TopicSpec(name, 1)])

    def test_a_topic_without_partitions_is_misuse(self, log: Log) -> None:
        with pytest.raises(MisuseError, match="partitions is 0"):
            log.create_topics([TopicSpec("contract.none", 0)])

    @pytest.mark.parametrize("retention", [{"retention_seconds": 0}, {"retention_bytes": -1}])
    def test_retention_of_nothing_is_misuse(self, log: Log, retention: dict[str, int]) -> None:
        with pytest.raises(MisuseError, match=next(iter(retention))):
            log.create_topics([TopicSpec("contract.none", 1, **retention)])

    def test_what_does_not_exist_is_not_found(self, log: Log) -> None:
        missing = f"contract.{uuid4().hex}"
        for ask in (log.partitions, log.begin_offsets, log.end_offsets):
            with pytest.raises(NotFoundError, match=missing):
                ask(missing)
        with pytest.raises(NotFoundError, match=missing):
            log.append_many(missing, numbered("a", 1))
        with pytest.raises(NotFoundError, match=missing):
            log.offsets_for_time(missing, 0)
        topic = new_topic(log, 2)
        for where in (TopicPartition(missing, 0), TopicPartition(topic, 2)):
            with pytest.raises(NotFoundError, match=where.topic):
                log.reader({where: 0})

    # Appending and polling

    @on_one_log
    @given(sent=batches, partitions=st.integers(1, 4), max_messages=st.integers(1, 10))
    def test_what_is_appended_is_polled_once_and_in_order(
        self, log: Log, sent: list[list[Outgoing]], partitions: int, max_messages: int
    ) -> None:
        topic = new_topic(log, partitions)
        expected: dict[int, list[Outgoing]] = defaultdict(list)
        for batch in sent:
            log.append_many(topic, batch)
            for message in batch:
                expected[partition_for(message.key, partitions)].append(message)
        count = sum(map(len, sent))

        with closing(log.reader(log.begin_offsets(topic))) as reader:
            polled = by_partition(take_all(reader, count, max_messages))

        assert {number: list(map(as_sent, found)) for number, found in polled.items()} == expected
        ends = log.end_offsets(topic)
        assert len(ends) == partitions
        for number, found in polled.items():
            offsets = [message.offset for message in found]
            assert offsets == list(range(ends[TopicPartition(topic, number)]))
            appended = [message.appended_ms for message in found]
            assert appended == sorted(appended)
            assert {message.topic for message in found} == {topic}

    def test_a_message_of_a_mebibyte_less_a_little(self, log: Log) -> None:
        topic = new_topic(log)
        large = Outgoing("a", bytes(range(256)) * 4000)
        log.append_many(topic, [large])
        assert list(map(as_sent, read_topic(log, topic, 1))) == [large]

    def test_appending_nothing_changes_nothing(self, log: Log) -> None:
        topic = new_topic(log)
        log.append_many(topic, [])
        assert log.end_offsets(topic) == {TopicPartition(topic, 0): 0}

    def test_reading_starts_where_it_is_told(self, log: Log) -> None:
        topic = new_topic(log)
        log.append_many(topic, numbered("a", 10))
        with closing(log.reader({TopicPartition(topic, 0): 7})) as reader:
            assert values(take_all(reader, 3)) == [7, 8, 9]

    def test_readers_do_not_notice_each_other(self, log: Log) -> None:
        topic = new_topic(log)
        log.append_many(topic, numbered("a", 4))
        start = log.begin_offsets(topic)
        with closing(log.reader(start)) as one, closing(log.reader(start)) as two:
            assert values(take_all(one, 4)) == values(take_all(two, 4)) == [0, 1, 2, 3]

    def test_one_reader_of_several_topics(self, log: Log) -> None:
        topics = [new_topic(log, 2), new_topic(log, 2)]
        positions: dict[TopicPartition, int] = {}
        for topic in topics:
            log.append_many(topic, numbered("a", 5))
            positions |= log.begin_offsets(topic)
        with closing(log.reader(positions)) as reader:
            found = take_all(reader, 10, max_messages=3)
        for topic in topics:
            assert values([m for m in found if m.topic == topic]) == [0, 1, 2, 3, 4]

    def test_a_reader_of_nothing_finds_nothing(self, log: Log) -> None:
        with closing(log.reader({})) as reader:
            assert reader.poll(10, GLANCE_SECONDS) == []

    def test_a_waiting_poll_is_woken_by_an_append(self, log: Log) -> None:
        topic = new_topic(log)
        with closing(log.reader(log.begin_offsets(topic))) as reader:
            assert reader.poll(10, 0) == []
            later = threading.Timer(0.05, log.append_many, (topic, numbered("a", 1)))
            later.start()
            assert values(take_all(reader, 1)) == [0]
            later.join()

    def test_a_reader_sees_what_comes_after_it_has_caught_up(self, log: Log) -> None:
        topic = new_topic(log, 2)
        with closing(log.reader(log.begin_offsets(topic))) as reader:
            for start in range(0, 30, 10):
                log.append_many(topic, numbered("a", 10, start))
                assert values(take_all(reader, 10)) == list(range(start, start + 10))

    def test_a_paused_partition_waits_and_goes_on_where_it_was(self, log: Log) -> None:
        topic = new_topic(log, 2)
        first, second = keys_of_all_partitions(2)
        log.append_many(topic, numbered(first, 3) + numbered(second, 3))
        with closing(log.reader(log.begin_offsets(topic))) as reader:
            reader.pause([TopicPartition(topic, 0)])
            assert {message.key for message in take_all(reader, 3)} == {second}
            log.append_many(topic, numbered(first, 2, 3) + numbered(second, 2, 3))
            assert values(take_all(reader, 2)) == [3, 4]
            reader.resume([TopicPartition(topic, 0)])
            found = take_all(reader, 5)
        assert {message.key for message in found} == {first}
        assert values(found) == [0, 1, 2, 3, 4]

    def test_threads_append_at_once(self, log: Log) -> None:
        topic = new_topic(log, 3)

        def append(key: str) -> None:
            for start in range(0, 50, 5):
                log.append_many(topic, numbered(key, 5, start))

        names = [f"node-{number}" for number in range(4)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(append, names))

        found = read_topic(log, topic, 200)
        for name in names:
            assert values([m for m in found if m.key == name]) == list(range(50))
        for messages in by_partition(found).values():
            appended = [message.appended_ms for message in messages]
            assert appended == sorted(appended)

    # Offsets and positions

    def test_an_empty_topic_begins_and_ends_at_0(self, log: Log) -> None:
        topic = new_topic(log, 2)
        zeros = {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0}
        assert log.begin_offsets(topic) == log.end_offsets(topic) == zeros
        assert log.offsets_for_time(topic, 0) == zeros

    def test_offsets_for_a_time(self, log: Log) -> None:
        topic = new_topic(log, 2)
        for start in range(5):
            log.append_many(topic, numbered("a", 2, start) + numbered("b", 1, start))
        found = by_partition(read_topic(log, topic, 15))
        ends = log.end_offsets(topic)
        times = {message.appended_ms for messages in found.values() for message in messages}
        for time_ms in {0} | times | {at + 1 for at in times} | {max(times) + 10**9}:
            assert log.offsets_for_time(topic, time_ms) == {
                where: next(
                    (m.offset for m in found[where.partition] if m.appended_ms >= time_ms), end
                )
                for where, end in ends.items()
            }

    @on_one_log
    @given(
        commits=st.lists(st.dictionaries(st.integers(0, 3), st.integers(0, 2**50), max_size=4)),
    )
    def test_the_last_commit_of_each_partition_is_kept(
        self, log: Log, commits: list[dict[int, int]]
    ) -> None:
        topic, group = new_topic(log, 4), f"contract-{uuid4().hex}"
        expected: dict[TopicPartition, int] = {}
        for commit in commits:
            positions = {TopicPartition(topic, number): at for number, at in commit.items()}
            log.commit(group, positions)
            expected |= positions
        assert log.committed(group) == expected

    def test_groups_are_apart(self, log: Log) -> None:
        where = TopicPartition(new_topic(log), 0)
        one, two = f"contract-{uuid4().hex}", f"contract-{uuid4().hex}"
        commits: Mapping[str, int] = {one: 4, two: 2}
        for group, position in commits.items():
            log.commit(group, {where: position})
        assert [log.committed(group)[where] for group in (one, two)] == [4, 2]
        assert log.committed(f"contract-{uuid4().hex}") == {}

    def test_an_only_member_has_all_partitions_and_commits(self, log: Log) -> None:
        one, two, group = new_topic(log, 3), new_topic(log, 3), f"contract-{uuid4().hex}"
        with closing(log.join(group, [one, two], "me", 10.0)) as membership:
            assert assigned(membership) == (0, 1, 2)
            positions = {TopicPartition(topic, 2): 5 for topic in (one, two)}
            membership.commit(positions)
            assert log.committed(group) == positions
            assert assigned(membership) == (0, 1, 2)

    def test_topics_of_unequal_counts_cannot_be_shared(self, log: Log) -> None:
        one, two = new_topic(log, 3), new_topic(log, 2)
        with pytest.raises(MisuseError, match=f"'{one}' has 3, '{two}' has 2"):
            log.join("g", [one, two], "me", 10.0)
        with pytest.raises(NotFoundError):
            log.join("g", [one, f"contract.{uuid4().hex}"], "me", 10.0)


def assigned(membership: Membership) -> tuple[int, ...]:
    """What the member is assigned, once it is anything."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = membership.poll(0.5, lambda: None)
        if found.partitions:
            assert found.is_all == (len(found.partitions) == found.of)
            return found.partitions
        assert time.monotonic() < deadline, "nothing was assigned"
