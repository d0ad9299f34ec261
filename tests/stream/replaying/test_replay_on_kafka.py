"""A replay on a real broker: offsets by its own times, the live group left alone."""

from __future__ import annotations

import time

import pytest

from estimator.errors import WattstreamError
from estimator.storage.namespaces import in_namespace
from estimator.storage.store import InMemoryStore
from stream.learning.pools import pool
from stream.log.kafka import KafkaLog
from stream.log.protocol import Outgoing, TopicPartition
from stream.log.window import Span
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC, encode
from stream.replaying.replay import Replay, plan_of
from stream.replaying.replay_plan import Asked
from stream.replaying.when import format_time
from tests.kafka.broker import Broker
from tests.stream.builders import gauge, topics, usage

U, P = TopicPartition(USAGE_TOPIC, 0), TopicPartition(POWER_TOPIC, 0)


def append_until(log: KafkaLog, end_ms: int, count: int = 20) -> None:
    """Records of the second before that time, appended now."""
    for number in range(count):
        at = end_ms - 50 * (count - number)
        log.append_many(USAGE_TOPIC, [Outgoing("a", encode(usage(at, bpf_cpu_time_ms=number)))])
        log.append_many(POWER_TOPIC, [Outgoing("a", encode(gauge(at, platform=9 + number)))])


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.mark.slow
def test_a_stretch_is_found_by_the_brokers_times(own_kafka: Broker) -> None:
    with KafkaLog(own_kafka.url) as log:
        topics(log)
        append_until(log, now_ms())
        time.sleep(0.02)
        start = now_ms()
        time.sleep(1.0)  # the events of the next records come after that
        append_until(log, now_ms())
        log.append_many(USAGE_TOPIC, [Outgoing("a", b"nonsense")])
        time.sleep(0.02)
        end = now_ms()
        time.sleep(0.02)
        append_until(log, now_ms())
        log.commit("wattstream", {U: 7, P: 7})

        store = InMemoryStore()
        asked = Asked(
            start=format_time(start),
            end=format_time(end),
            margin=0,
            lateness=10,
            experts=("ridge",),
        )
        part = in_namespace(store, "test")
        plan = plan_of(part, log, asked, time.time())
        assert plan.offsets == {U: Span(20, 41), P: Span(20, 40)}
        replay = Replay(plan, log, part, pool(plan.experts), commit_seconds=0.0)
        assert replay.run()
        (shard,) = replay.shards
        assert shard.counts == {
            "usage_records": 20,
            "power_records": 20,
            f"dead {USAGE_TOPIC}": 1,
        }
        assert shard.learner.counts["samples"] > 10
        assert log.committed("wattstream") == {U: 7, P: 7}
        assert set(log.end_offsets(DEAD_TOPIC).values()) == {0}
        with pytest.raises(WattstreamError, match="those that it has were appended from"):
            plan_of(
                in_namespace(store, "other"),
                log,
                Asked(start="2020-01-01", end="2020-01-02", lateness=10, experts=("ridge",)),
                time.time(),
            )
