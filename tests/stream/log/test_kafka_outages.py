"""Brokers that are not there, vanish, hang, come back: real processes, really killed."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest

from estimator.errors import FencedError, LogUnavailableError, MisuseError
from stream.log.kafka import KafkaLog
from stream.log.kafka_clients import parse_servers
from stream.log.protocol import Message, Outgoing, Reader, TopicPartition, TopicSpec
from tests.kafka.broker import Broker, Cluster, free_ports
from tests.kafka.fixtures import LEFT_SOCKETS, need_kafka
from tests.server.commands.processes import eventually
from tests.stream.log.contract import new_topic, numbered, read_topic, take, values
from tests.stream.log.old_broker import old_broker
from tests.stream.log.test_kafka_membership import SESSION_SECONDS, Member

pytestmark = LEFT_SOCKETS

TIMEOUT_SECONDS = 2.0
"""Short, so that tests need not wait; generous where something must come."""
PATIENCE_SECONDS = 90.0
ONE = TopicPartition("t", 0)


def log_of(url: str) -> KafkaLog:
    return KafkaLog(url, timeout_seconds=TIMEOUT_SECONDS)


def kafka_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "kafka" in thread.name.lower()]


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def append_until_taken(log: KafkaLog, messages: list[Outgoing]) -> int:
    """Try again as a collector does; how often it failed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    failures = 0
    while True:
        try:
            log.append_many("t", messages)
            return failures
        except LogUnavailableError:
            failures += 1
            assert time.monotonic() < deadline


def poll_until(reader: Reader, last: int) -> list[Message]:
    """Poll until the message with that number has come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    found: list[Message] = []
    while not found or int(found[-1].value) != last:
        found += reader.poll(100, 0.2)
        assert time.monotonic() < deadline, values(found)
    return found


def without_repeats(numbers: list[int]) -> list[int]:
    """What is left when each number counts where it first came."""
    return list(dict.fromkeys(numbers))


# Not there


@pytest.mark.parametrize("url", ["kafka://", "kafka://a b", "kafka://a:0", "kafka://a,,b", "x://a"])
def test_an_address_that_is_none_is_misuse(url: str) -> None:
    with pytest.raises(MisuseError, match="use kafka://host:port"):
        parse_servers(url)


def test_no_broker_is_said_in_time_and_leaves_no_thread_and_no_file_behind() -> None:
    url = f"kafka://127.0.0.1:{free_ports(1)[0]}"
    threads, files = kafka_threads(), open_files()
    with KafkaLog(url, timeout_seconds=0.3) as log:
        for ask in (
            lambda: log.create_topics([TopicSpec("t", 1)]),
            lambda: log.append_many("t", numbered("a", 1)),
            lambda: log.reader({ONE: 0}),
            lambda: log.commit("g", {ONE: 1}),
            log.topics,
        ):
            started = time.monotonic()
            with pytest.raises(LogUnavailableError) as caught:
                ask()
            assert time.monotonic() - started < 5
            assert str(caught.value).startswith(f"log {url}: no broker answers within 0.")
            assert "ECONNREFUSED" in str(caught.value)
            assert "\n" not in str(caught.value)
        assert kafka_threads() == threads
        assert open_files() <= files + 2


def test_a_server_that_is_no_broker_is_said_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"kafka://127.0.0.1:{server.getsockname()[1]}"
        with (
            KafkaLog(url, timeout_seconds=0.5) as log,
            pytest.raises(LogUnavailableError, match=f"{url}: no broker answers within 0.5 s"),
        ):
            log.topics()


def test_a_broker_that_is_too_old_is_misuse() -> None:
    with old_broker() as address, log_of(f"kafka://{address}") as log:
        for ask in (
            lambda: log.create_topics([TopicSpec("t", 1)]),
            lambda: log.committed("g"),
        ):
            with pytest.raises(MisuseError) as caught:
                ask()
            assert str(caught.value).startswith(
                f"log kafka://{address}: the broker is too old, Kafka 2.4 or later is needed ("
            )
            assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_broker_that_comes_later_is_used_when_it_is_there(tmp_path: Path) -> None:
    need_kafka()
    broker = Broker(tmp_path / "kafka", *free_ports(2))
    with log_of(broker.url) as log:
        with pytest.raises(LogUnavailableError):
            log.create_topics([TopicSpec("t", 1)])
        with broker:
            log.create_topics([TopicSpec("t", 1)])
            log.append_many("t", numbered("a", 3))
            assert values(read_topic(log, "t", 3)) == [0, 1, 2]


def test_a_closed_log_is_unavailable() -> None:
    log = log_of("kafka://127.0.0.1:1")
    log.close()
    log.close()
    with pytest.raises(LogUnavailableError, match="closed"):
        log.append_many("t", numbered("a", 1))


# Vanishing


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back_under_a_reader_and_a_writer(
    own_kafka: Broker,
) -> None:
    with log_of(own_kafka.url) as log:
        log.create_topics([TopicSpec("t", 1)])
        with closing(log.reader({ONE: 0})) as reader:
            acknowledged = 0
            found: list[Message] = []
            for _ in range(2):
                log.append_many("t", numbered("a", 50, acknowledged))
                acknowledged += 50
                found += take(reader, 1)
                own_kafka.kill()
                started = time.monotonic()
                with pytest.raises(LogUnavailableError, match=own_kafka.url):
                    log.append_many("t", numbered("a", 50, acknowledged))
                assert time.monotonic() - started < 4 * TIMEOUT_SECONDS
                started = time.monotonic()
                found += reader.poll(100, 0.3)
                assert time.monotonic() - started < 2
                with pytest.raises(LogUnavailableError, match=own_kafka.url):
                    log.end_offsets("t")
                own_kafka.start()
                append_until_taken(log, numbered("a", 50, acknowledged))
                acknowledged += 50
                found += poll_until(reader, acknowledged - 1)
            log.commit("g", {ONE: 7})
            assert log.committed("g") == {ONE: 7}
    assert without_repeats(values(found)) == list(range(acknowledged))


@pytest.mark.slow
def test_once_the_broker_is_known_to_be_away_appending_fails_at_once(own_kafka: Broker) -> None:
    with log_of(own_kafka.url) as log:
        log.create_topics([TopicSpec("t", 1)])
        log.append_many("t", numbered("a", 1))
        own_kafka.kill()
        with pytest.raises(LogUnavailableError):
            log.append_many("t", numbered("a", 1, 1))
        started = time.monotonic()
        with pytest.raises(LogUnavailableError):
            log.append_many("t", numbered("a", 1, 1))
        assert time.monotonic() - started < 0.75 * TIMEOUT_SECONDS


@pytest.mark.slow
def test_a_broker_that_hangs_and_goes_on(own_kafka: Broker) -> None:
    with log_of(own_kafka.url) as log:
        log.create_topics([TopicSpec("t", 1)])
        log.append_many("t", numbered("a", 5))
        with closing(log.reader({ONE: 0})) as reader:
            found = take(reader, 5)
            own_kafka.freeze()
            started = time.monotonic()
            with pytest.raises(LogUnavailableError):
                log.append_many("t", numbered("a", 5, 5))
            assert time.monotonic() - started < 4 * TIMEOUT_SECONDS
            started = time.monotonic()
            assert reader.poll(100, 0.3) == []
            assert time.monotonic() - started < 2
            own_kafka.thaw()
            append_until_taken(log, numbered("a", 5, 5))
            found += poll_until(reader, 9)
    assert without_repeats(values(found)) == list(range(10))


@pytest.mark.slow
def test_closing_does_not_wait_for_a_broker_that_is_gone(own_kafka: Broker) -> None:
    threads = kafka_threads()
    log = log_of(own_kafka.url)
    log.create_topics([TopicSpec("t", 1)])
    log.append_many("t", numbered("a", 1))
    reader = log.reader({ONE: 0})
    take(reader, 1)
    own_kafka.kill()
    started = time.monotonic()
    reader.close()
    log.close()
    assert time.monotonic() - started < 4 * TIMEOUT_SECONDS
    assert kafka_threads() == threads


@pytest.mark.slow
def test_brokers_of_a_cluster_die_one_after_the_other_and_nothing_is_lost(
    kafka_cluster: Callable[[int], Cluster],
) -> None:
    cluster = kafka_cluster(3)
    with KafkaLog(cluster.url, timeout_seconds=15, replication=3) as log:
        log.create_topics([TopicSpec("t", 3)])
        names = [f"node-{number}" for number in range(12)]
        with closing(log.reader(log.begin_offsets("t"))) as reader:
            found: list[Message] = []
            sent = 0
            for broker in cluster.brokers[:2]:
                for killed in (False, True):
                    if killed:
                        broker.kill()
                    batch = [
                        Outgoing(name, b"%d" % (sent + n)) for n in range(10) for name in names
                    ]
                    append_until_taken(log, batch)
                    sent += 10
                broker.start()
            ends = sum(log.end_offsets("t").values())
            while len(found) < ends:
                found += take(reader, 1)
    found.sort(key=lambda message: message.key)
    for name, messages in groupby(found, key=lambda message: message.key):
        assert without_repeats(values(list(messages))) == list(range(sent)), name


@pytest.mark.slow
def test_while_the_broker_is_away_partitions_stay_for_the_time_being(own_kafka: Broker) -> None:
    with log_of(own_kafka.url) as log:
        topics = [new_topic(log, 2), new_topic(log, 2)]
        member = Member(log.join("g", topics, "one", SESSION_SECONDS))
        try:
            eventually(lambda: member.has == (0, 1))
            own_kafka.kill()
            time.sleep(1)  # some polls
            assert member.has == (0, 1)
            assert member.error is None
            with pytest.raises(LogUnavailableError, match=own_kafka.url):
                member.membership.commit({TopicPartition(topics[0], 0): 1})
            own_kafka.start()

            def commits() -> bool:
                try:
                    member.membership.commit({TopicPartition(topics[0], 0): 1})
                except (LogUnavailableError, FencedError):
                    return False
                return True

            eventually(commits)
            eventually(lambda: member.has == (0, 1))
        finally:
            member.close()
