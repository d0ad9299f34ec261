"""A worker on a real broker: it learns what it learns from any other log, whoever else writes."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer

from estimator.storage.store import InMemoryStore
from stream.collecting.outbox import Outbox
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters, describe
from stream.log.kafka import KafkaLog
from stream.log.memory import MemoryLog
from stream.log.protocol import Log, TopicPartition
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC
from tests.kafka.broker import Broker
from tests.stream.builders import append, fleet, topics
from tests.stream.log.contract import take


def learned(log: Log) -> tuple[Worker, DeadLetters]:
    letters = DeadLetters(log)
    parts = Parts(
        log=log,
        pool=pool(("ridge",)),
        checkpoints=Checkpoints(InMemoryStore(), "test"),
        publisher=None,
        dead_letter=letters.send,
    )
    worker = Worker(parts, [0])
    worker.run_to_end()
    assert worker.commit()
    return worker, letters


def models(worker: Worker) -> bytes:
    state: dict[str, Any] = dict(worker.shards[0].state())
    return checkpoint.encode({"learner": state["learner"], "join": state["join"]})


GARBAGE: list[tuple[str, bytes | None, bytes | None, str]] = [
    (USAGE_TOPIC, b"k", b"not json", "not-json"),
    (USAGE_TOPIC, None, b"\x00\xff" * 5000, "not-json"),
    (POWER_TOPIC, b"\xff\xfe", b"{}", "missing-field"),
    (POWER_TOPIC, b"gone", None, "not-json"),
    (USAGE_TOPIC, b"k", b'{"v":9}', "version"),
]


@pytest.mark.slow
def test_garbage_of_a_foreign_producer_is_set_aside_and_changes_no_model(own_kafka: Broker) -> None:
    records = fleet(nodes=2, steps=20)
    with MemoryLog() as clean:
        topics(clean)
        for record in records:
            append(clean, record)
        expected, _ = learned(clean)
    with (
        KafkaLog(own_kafka.url) as log,
        KafkaProducer(bootstrap_servers=own_kafka.address, enable_idempotence=False) as foreign,
    ):
        topics(log)
        for number, record in enumerate(records):
            append(log, record)
            if number < len(GARBAGE):
                topic, key, value, _ = GARBAGE[number]
                foreign.send(topic, value, key).get(10)
        worker, letters = learned(log)
        assert models(worker) == models(expected)
        assert worker.shards[0].learner.counts["samples"] > 0
        kinds = [kind for *_, kind in GARBAGE]
        assert letters.counts == {kind: kinds.count(kind) for kind in kinds}
        with closing(log.reader(log.begin_offsets(DEAD_TOPIC))) as reader:
            found = [describe(message) for message in take(reader, len(GARBAGE))]
        assert {(letter.topic, letter.value) for letter in found} == {
            (topic, value or b"") for topic, _, value, _ in GARBAGE
        }
        committed = log.committed("wattstream")
        assert committed == {
            TopicPartition(topic, 0): log.end_offsets(topic)[TopicPartition(topic, 0)]
            for topic in (USAGE_TOPIC, POWER_TOPIC)
        }


@pytest.mark.slow
def test_two_collectors_of_one_node_are_said_and_the_same_time_counts_once(
    own_kafka: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    records = fleet(nodes=1, steps=20, restless=False)
    with KafkaLog(own_kafka.url) as log:
        topics(log)
        boxes = [Outbox(log, collector=f"host-{number}/1 rapl") for number in range(2)]
        for start in range(0, len(records), 10):
            for box in boxes:
                box.put(records[start : start + 10])
                box.flush()
        worker, letters = learned(log)
    with MemoryLog() as once:
        topics(once)
        for record in records:
            append(once, record)
        expected, _ = learned(once)
    assert "from two collectors, host-0/1 rapl and host-1/1 rapl" in caplog.text
    assert letters.counts == {}
    assert worker.shards[0].join.counts["duplicate"] == len(records)
    samples = worker.shards[0].learner.counts["samples"]
    assert samples == expected.shards[0].learner.counts["samples"] > 0
