from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from estimator.errors import LogUnavailableError, MisuseError, RefusedError
from stream.log.kafka import KafkaLog
from stream.log.kafka_topics import MAX_MESSAGE_BYTES
from stream.log.protocol import Message, Outgoing, TopicPartition, TopicSpec
from tests.kafka.broker import Broker
from tests.stream.log.contract import (
    LogContract,
    keys_of_all_partitions,
    new_topic,
    numbered,
    read_topic,
    take,
    take_all,
    values,
)


@pytest.fixture(scope="module")
def log(kafka: Broker) -> Iterator[KafkaLog]:
    with KafkaLog(kafka.url) as log:
        yield log


class TestKafkaLog(LogContract):
    """The contract, unchanged, on one log that all its tests share."""


@pytest.fixture(scope="module")
def admin(kafka: Broker) -> Iterator[Any]:
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        yield admin


@pytest.fixture
def foreign_topic(admin: Any) -> Callable[..., str]:
    """Makes topics as somebody else would."""

    def make(partitions: int = 1, **configs: str) -> str:
        topic = f"foreign.{uuid4().hex}"
        settings = {name.replace("_", "."): value for name, value in configs.items()}
        admin.create_topics(
            {topic: {"num_partitions": partitions, "configs": settings}}, wait_for_metadata=True
        )
        return topic

    return make


@pytest.fixture
def foreign_producer(kafka: Broker) -> Iterator[Any]:
    with KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False) as producer:
        yield producer


# Topics


def test_unequal_partition_counts_are_misuse_and_nothing_is_made(
    log: KafkaLog, foreign_topic: Callable[..., str]
) -> None:
    usage, power, dead = foreign_topic(4), foreign_topic(2), f"new.{uuid4().hex}"
    with pytest.raises(MisuseError, match=f"'{power}' has 2 partitions, 4 were asked for"):
        log.create_topics([TopicSpec(dead, 1), TopicSpec(usage, 4), TopicSpec(power, 4)])
    assert dead not in log.topics()


def test_new_topics_have_append_times_and_the_retention_asked_for(
    log: KafkaLog, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"new.{uuid4().hex}"
    spec = TopicSpec(topic, 1, retention_seconds=3600, retention_bytes=10**9)
    log.create_topics([spec])
    with caplog.at_level(logging.WARNING, "stream"):
        log.create_topics([spec])
    assert not [record for record in caplog.records if record.name.startswith("stream")]
    log.create_topics([TopicSpec(topic, 1, retention_seconds=60, retention_bytes=10**9)])
    said = [record.getMessage() for record in caplog.records if record.name.startswith("stream")]
    assert said == [f"topic '{topic}': retention.ms is 3600000, not 60000: left as it is"]


def test_a_topic_with_its_producers_times_is_warned_of(
    log: KafkaLog, foreign_topic: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    topic = foreign_topic(message_timestamp_type="CreateTime", retention_ms="-1")
    log.create_topics([TopicSpec(topic, 1)])
    said = [record.getMessage() for record in caplog.records if record.name.startswith("stream")]
    assert f"topic '{topic}': message.timestamp.type is CreateTime, not LogAppendTime" in said[0]


def test_a_group_at_work_commits_by_itself(log: KafkaLog) -> None:
    topic, group = new_topic(log), f"group-{uuid4().hex}"
    # Our own member joins anew if its join was forgotten: a bare consumer may wait for ever.
    with closing(log.join(group, [topic], "a member", 30.0)) as member:
        while not member.poll(0.1, lambda: None).partitions:
            pass
        with pytest.raises(MisuseError, match=rf"group '{group}' has members"):
            log.commit(group, {TopicPartition(topic, 0): 1})


# Records that are too large


def test_a_record_of_ten_mebibytes_is_refused_and_stops_no_other(log: KafkaLog) -> None:
    topic = new_topic(log)
    huge = Outgoing("node-7", bytes(10 * 1024 * 1024))
    with pytest.raises(
        RefusedError,
        match=rf"1 of 5 refused: topic '{topic}', key 'node-7': the record has 104859\d\d bytes, "
        rf"limit is {MAX_MESSAGE_BYTES}",
    ) as caught:
        log.append_many(topic, [*numbered("a", 2), huge, *numbered("a", 2, 2)])
    assert caught.value.refused == (2,)
    log.append_many(topic, numbered("a", 1, 4))
    assert values(read_topic(log, topic, 5)) == [0, 1, 2, 3, 4]


def test_a_record_as_large_as_the_topic_allows(log: KafkaLog) -> None:
    topic = new_topic(log)
    largest = Outgoing("a", bytes(MAX_MESSAGE_BYTES - 500))
    log.append_many(topic, [largest])
    assert read_topic(log, topic, 1)[0].value == largest.value


def test_a_topic_with_a_lower_limit_refuses_by_that_limit(
    log: KafkaLog, foreign_topic: Callable[..., str]
) -> None:
    topic = foreign_topic(max_message_bytes="3000")
    many = [Outgoing("a", b"%d" % number + b" " * 900) for number in range(20)]
    with pytest.raises(RefusedError, match="limit is 3000"):
        log.append_many(topic, [*many, Outgoing("a", bytes(5000))])
    assert values(read_topic(log, topic, 20)) == list(range(20))


def test_a_large_append_goes_out_in_parts(log: KafkaLog) -> None:
    topic = new_topic(log)
    log.append_many(topic, [Outgoing("a", b"%d" % number + bytes(2**20)) for number in range(40)])
    assert log.end_offsets(topic) == {TopicPartition(topic, 0): 40}


# Positions


def test_where_retention_has_deleted_the_position_reading_goes_on_at_the_earliest(
    log: KafkaLog, admin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    topic = new_topic(log)
    where = TopicPartition(topic, 0)
    log.append_many(topic, numbered("a", 10))
    with closing(log.reader({where: 0})) as before:
        assert values(take(before, 2, max_messages=2)) == [0, 1]
        admin.delete_records({KafkaPartition(topic, 0): 7})
        assert log.begin_offsets(topic) == {where: 7}
        assert log.offsets_for_time(topic, 0) == {where: 7}
        with closing(log.reader({where: 1})) as after:
            found = take_all(after, 3)
    assert [message.offset for message in found] == values(found) == [7, 8, 9]
    assert f"{topic}/0: 6 messages from offset 1 on are gone, reading from offset 7" in caplog.text


def test_a_position_beyond_the_end_starts_over_with_a_warning(
    log: KafkaLog, caplog: pytest.LogCaptureFixture
) -> None:
    topic = new_topic(log)
    log.append_many(topic, numbered("a", 3))
    with closing(log.reader({TopicPartition(topic, 0): 900})) as reader:
        assert values(take_all(reader, 3)) == [0, 1, 2]
    assert f"{topic}/0 ends before the position 900: reading from offset 0" in caplog.text


def test_a_pause_in_the_middle_of_a_fetch_forgets_nothing(log: KafkaLog) -> None:
    busy, quiet = new_topic(log), new_topic(log)
    log.append_many(busy, numbered("a", 500))
    log.append_many(quiet, numbered("a", 3))
    positions = log.begin_offsets(busy) | log.begin_offsets(quiet)
    with closing(log.reader(positions)) as reader:
        found = take(reader, 10, max_messages=10)
        reader.pause([TopicPartition(busy, 0)])
        log.append_many(quiet, numbered("a", 3, 3))
        while sum(message.topic == quiet for message in found) < 6:
            found += take(reader, 1, max_messages=10)
        reader.resume([TopicPartition(busy, 0)])
        while len(found) < 506:
            found += take(reader, 1)
    assert values([message for message in found if message.topic == busy]) == list(range(500))


def test_a_flood_in_one_partition_does_not_starve_another(log: KafkaLog) -> None:
    topic = new_topic(log, 2)
    first, second = keys_of_all_partitions(2)
    log.append_many(topic, numbered(first, 500) + numbered(second, 3))
    with closing(log.reader(log.begin_offsets(topic))) as reader:
        found = take(reader, 100, max_messages=50)
    assert [message.key for message in found].count(second) == 3


# What others produce


class RawName(str):
    """A header's name whose bytes are no text."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_foreign_records_without_key_value_and_text(log: KafkaLog, foreign_producer: Any) -> None:
    topic = new_topic(log)
    foreign_producer.send(topic, b"no key")
    foreign_producer.send(topic, None, b"no value")
    foreign_producer.send(topic, b"no text", b"\xff\x00k")
    foreign_producer.send(topic, b"empty", b"", [("h", b"")])
    foreign_producer.flush()
    found = read_topic(log, topic, 4)
    assert [(message.key, message.value, message.headers) for message in found] == [
        ("", b"no key", ()),
        ("no value", b"", ()),
        ("\ufffd\x00k", b"no text", ()),
        ("", b"empty", (("h", b""),)),
    ]


def test_a_batch_that_no_client_can_read_is_skipped_and_said(
    log: KafkaLog,
    foreign_topic: Callable[..., str],
    foreign_producer: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic = foreign_topic()
    log.append_many(topic, numbered("a", 5))
    for number in range(40):
        foreign_producer.send(topic, b"x", b"k", [(RawName("h"), b"")] if number == 3 else [])
    foreign_producer.flush()
    log.append_many(topic, numbered("a", 5, 5))
    end = log.end_offsets(topic)[TopicPartition(topic, 0)]
    found: list[Message] = []
    with closing(log.reader({TopicPartition(topic, 0): 0})) as reader:
        while not found or found[-1].offset + 1 < end:
            found += take(reader, 1)
    ours = [message for message in found if message.key == "a"]
    assert values(ours) == list(range(10))
    assert f"{topic}/0: offsets 8 to " in caplog.text
    assert "cannot be read and are skipped" in caplog.text


def test_a_codec_that_is_not_installed_is_named_and_nothing_is_skipped(
    kafka: Broker,
    log: KafkaLog,
    foreign_topic: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = foreign_topic()
    with KafkaProducer(bootstrap_servers=kafka.address, compression_type="gzip") as producer:
        producer.send(topic, b"0".ljust(1000), b"a")
    with closing(log.reader({TopicPartition(topic, 0): 0})) as reader:
        with monkeypatch.context() as patch:
            patch.setattr("kafka.codec.has_gzip", lambda: False)
            for _ in range(3):
                with pytest.raises(LogUnavailableError, match=r"gzip .*install"):
                    take(reader, 1)
        assert values(take_all(reader, 1)) == [0]
