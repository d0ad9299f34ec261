"""The log on Kafka beside kafka-python itself, and the whole way to learned and checkpointed.

``python -m tests.bench.bench_kafka``. One broker, one run; it needs ``java``, and ``mvn`` once.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from estimator.model_store import ModelStore
from estimator.store import open_store
from stream.checkpoint import Checkpoints
from stream.dead_letters import DeadLetters
from stream.intake import TOPICS
from stream.join import Join
from stream.log import kafka_fetches, kafka_writer
from stream.log.kafka import KafkaLog
from stream.log.protocol import Message, Outgoing, TopicPartition, TopicSpec
from stream.merge import Merge
from stream.outbox import Outbox
from stream.pools import pool
from stream.publisher import Publisher
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC, PowerRecord, decode_usage
from stream.shard import read
from stream.worker import Parts, Worker, relax_garbage_collection
from tests.bench.fleet import fleet_records
from tests.kafka.broker import Broker, free_ports
from tests.kafka.jars import MissingToolError

LIMIT = 5000.0
JOIN_LIMIT = 0.5
NODES, STEPS, WORKLOADS = 100, 151, 50
PARTITIONS = 4
POLLED = 512
BATCH = 500
ROUNDS = 3


class Measured(NamedTuple):
    """What one way took for so many messages."""

    messages: int
    bytes: int
    seconds: float
    cpu_seconds: float


class _Elsewhere:
    """Appends to another topic than it is told, so that nothing is measured twice."""

    def __init__(self, log: KafkaLog, topic: str) -> None:
        self._log, self._topic = log, topic

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        self._log.append_many(self._topic, messages)


def run() -> None:
    """Print messages and bytes a second of each step, and its ratio to the client alone."""
    relax_garbage_collection()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Broker(Path(folder) / "kafka", *free_ports(2), heap_mib=512, quick=False) as broker:
            print(f"the broker answers after {time.perf_counter() - started:.1f} s")
            with KafkaLog(broker.url) as log:
                _run(log, broker, folder)


def _run(log: KafkaLog, broker: Broker, folder: str) -> None:
    log.create_topics([TopicSpec(topic, 1) for topic in (*TOPICS, DEAD_TOPIC)])
    usage, power = _records()
    for batch in _batches(usage):
        log.append_many(USAGE_TOPIC, batch)
    for batch in _batches(power):
        log.append_many(POWER_TOPIC, batch)
    samples = NODES * (STEPS - 1)
    mean = sum(len(message.value) for message in usage) / len(usage)
    print(
        f"{len(usage)} usage records of {mean / 1024:.1f} KiB, as many of power; best of {ROUNDS}"
    )
    print(f"  {'':34} {'messages/s':>10} {'MB/s':>7} {'cpu us':>7}")
    _produce(log, broker, usage)
    _consume(log, broker, folder, samples)


def _produce(log: KafkaLog, broker: Broker, usage: list[Outgoing]) -> None:
    count = 0

    def topic() -> str:
        nonlocal count
        count += 1
        log.create_topics([TopicSpec(f"bench.{count}", PARTITIONS)])
        return f"bench.{count}"

    with KafkaProducer(
        bootstrap_servers=broker.address, compression_type="lz4", **kafka_writer.OPTIONS
    ) as producer:

        def raw(name: str) -> None:
            for number, message in enumerate(usage):
                producer.send(name, message.value, partition=number % PARTITIONS)
            producer.flush()

        client = _best("produce, kafka-python", lambda: raw(topic()), usage)

    def append(name: str) -> None:
        for batch in _batches(usage):
            log.append_many(name, batch)

    ours = _best(f"append_many, batches of {BATCH}", lambda: append(topic()), usage)
    records = [decode_usage(message.value) for message in usage]

    def collect(name: str) -> None:
        outbox = Outbox(_Elsewhere(log, name), batch_records=BATCH)
        for start in range(0, len(records), BATCH):
            outbox.put(records[start : start + BATCH])
            outbox.flush()

    _best("a collector's outbox, encoding too", lambda: collect(topic()), usage)
    _ratio("append_many to kafka-python", ours, client)


def _consume(log: KafkaLog, broker: Broker, folder: str, samples: int) -> None:
    ends = {where: end for topic in TOPICS for where, end in log.end_offsets(topic).items()}
    total = sum(ends.values())
    messages = _read_all(log, ends)

    def raw() -> None:
        with KafkaConsumer(bootstrap_servers=broker.address, **kafka_fetches.OPTIONS) as consumer:
            consumer.assign([KafkaPartition(*where) for where in ends])
            left = total
            while left:
                found = consumer.poll(1000, POLLED)
                left -= sum(map(len, found.values()))

    client = _best("poll, kafka-python", raw, messages)
    ours = _best("poll", lambda: _read_all(log, ends), messages)
    joined = _best("poll, decode, join", lambda: _join_all(log, ends, samples), messages)
    store = open_store(f"file://{folder}/store")

    def learn() -> None:
        parts = Parts(
            log=log,
            pool=pool(),
            checkpoints=Checkpoints(store, f"bench-{time.monotonic_ns()}"),
            publisher=Publisher(ModelStore(store)),
            dead_letter=DeadLetters(log).send,
        )
        worker = Worker(parts, [0])
        worker.run_to_end()
        assert worker.commit()
        learned = worker.shards[0].learner.counts["samples"]
        assert learned == samples, (learned, samples)

    learned = _best("poll to learned and checkpointed", learn, messages)
    _ratio("poll to kafka-python", ours, client)
    _ratio(f"poll, decode, join to kafka-python (limit {JOIN_LIMIT})", joined, client)
    _ratio("learned to kafka-python", learned, client)
    wall, cpu = samples / learned.seconds, samples / learned.cpu_seconds
    print(f"  learned: {wall:.0f} samples/s, {cpu:.0f} samples/s of processor time", end="")
    print(f" ({cpu / LIMIT:.2f} of {LIMIT:.0f})")


def _records() -> tuple[list[Outgoing], list[Outgoing]]:
    usage: list[Outgoing] = []
    power: list[Outgoing] = []
    for step in fleet_records(NODES, STEPS, WORKLOADS):
        usage += step[0]
        power += step[1]
    return usage, power


def _batches(messages: list[Outgoing]) -> Iterator[list[Outgoing]]:
    for start in range(0, len(messages), BATCH):
        yield messages[start : start + BATCH]


def _read_all(log: KafkaLog, ends: dict[TopicPartition, int]) -> list[Message]:
    messages: list[Message] = []
    with closing(log.reader(dict.fromkeys(ends, 0))) as reader:
        while len(messages) < sum(ends.values()):
            messages += reader.poll(POLLED, 1.0)
    return messages


def _join_all(log: KafkaLog, ends: dict[TopicPartition, int], samples: int) -> None:
    """What a worker does before it learns, with all the order it keeps."""
    join, joined, left = Join(), 0, sum(ends.values())
    merge = Merge(time.time, lambda topic: False)
    with closing(log.reader(dict.fromkeys(ends, 0))) as reader:
        while left:
            messages = reader.poll(POLLED, 1.0)
            left -= len(messages)
            for message in messages:
                merge.add(TOPICS.index(message.topic), read(message))
            merge.ended = [not left, not left]
            while (entry := merge.next()) is not None:
                if isinstance(entry.record, PowerRecord):
                    joined += len(join.add_power(entry.record))
                elif entry.record is not None:
                    joined += len(join.add_usage(entry.record))
    assert joined == samples, (joined, samples)


def _best(
    name: str, step: Callable[[], object], messages: list[Outgoing] | list[Message]
) -> Measured:
    """Do it some times; print and return the quickest."""
    size = sum(len(message.value) for message in messages)
    rounds = []
    for _ in range(ROUNDS):
        started, cpu_started = time.perf_counter(), time.process_time()
        step()
        seconds = time.perf_counter() - started
        rounds.append(Measured(len(messages), size, seconds, time.process_time() - cpu_started))
    best = min(rounds, key=lambda measured: measured.seconds)
    print(
        f"  {name:34} {best.messages / best.seconds:>10.0f} {best.bytes / best.seconds / 1e6:>7.1f}"
        f" {1e6 * best.cpu_seconds / best.messages:>7.1f}",
        flush=True,
    )
    return best


def _ratio(name: str, ours: Measured, client: Measured) -> None:
    print(f"  ratio of {name}: {client.seconds / ours.seconds:.2f}")


if __name__ == "__main__":
    try:
        run()
    except MissingToolError as error:
        print(f"skipped: {error}")
        sys.exit(0)
