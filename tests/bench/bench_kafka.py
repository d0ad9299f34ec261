"""The log on Kafka beside kafka-python itself, and the whole way to learned and checkpointed.

``python -m tests.bench.bench_kafka``. One broker, one run; it needs ``java``, and ``mvn`` once.
Every fleet has a partition of its own. Of each round, all steps are done one after the other, so
that a busy moment of the machine meets them all; the quickest round of a step counts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from stream.collecting.outbox import Outbox
from stream.joining.join import Join
from stream.joining.merge import Merge
from stream.learning.checkpoint import Checkpoints
from stream.learning.intake import TOPICS
from stream.learning.pools import DEFAULT_BANKS, pool
from stream.learning.publisher import Publisher
from stream.learning.shard import read
from stream.learning.worker import Parts, Worker, relax_garbage_collection
from stream.letters.dead_letters import DeadLetters
from stream.log import kafka_fetches, kafka_writer
from stream.log.kafka import KafkaLog
from stream.log.protocol import Message, Outgoing, TopicPartition, TopicSpec
from stream.records import (
    DEAD_TOPIC,
    USAGE_TOPIC,
    PowerRecord,
    UsageRecord,
    decode_usage,
)
from tests.bench.fleet import fleet_records
from tests.kafka.broker import Broker, free_ports
from tests.kafka.jars import MissingToolError

LIMIT = 5000.0
"""Samples a second of processor time, set for the ridges alone."""
JOIN_LIMIT = 0.5
FLEETS = ((10, 601), (100, 101), (1000, 11))
"""Nodes, and how often each is read; the place of a fleet is its partition."""
WORKLOADS = 50
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


class _Fleet(NamedTuple):
    """What there is to be read of one fleet."""

    nodes: int
    partition: int
    samples: int
    messages: int
    bytes: int

    @property
    def begin(self) -> dict[TopicPartition, int]:
        return {TopicPartition(topic, self.partition): 0 for topic in TOPICS}


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
    topics = [TopicSpec(topic, len(FLEETS)) for topic in (*TOPICS, DEAD_TOPIC)]
    log.create_topics(topics)
    print(f"records of {WORKLOADS} workloads; best of {ROUNDS} rounds; MB are 10^6 bytes")
    _produce(log, broker)
    for partition, (nodes, steps) in enumerate(FLEETS):
        fleet = _fill(broker, partition, nodes, steps)
        print(
            f"{nodes} nodes: {fleet.messages} messages, half of them usage; "
            f"{fleet.bytes / fleet.messages / 1024:.1f} KiB each on average"
        )
        _consume(log, broker, folder, fleet)


def _produce(log: KafkaLog, broker: Broker) -> None:
    usage = [message for step in fleet_records(100, 61, WORKLOADS) for message in step[0]]
    size = sum(len(message.value) for message in usage)
    records = [decode_usage(message.value) for message in usage]
    count = 0

    def topic() -> str:
        nonlocal count
        count += 1
        log.create_topics([TopicSpec(f"bench.{count}", PARTITIONS)])
        return f"bench.{count}"

    def append() -> None:
        name = topic()
        for batch in _batches(usage):
            log.append_many(name, batch)

    def collect() -> None:
        outbox = Outbox(_Elsewhere(log, topic()), batch_records=BATCH)
        for start in range(0, len(records), BATCH):
            outbox.put(records[start : start + BATCH])
            outbox.flush()

    with _producer(broker) as producer:

        def raw() -> None:
            name = topic()
            for number, message in enumerate(usage):
                producer.send(name, message.value, partition=number % PARTITIONS)
            producer.flush()

        steps = {
            "produce, kafka-python": raw,
            f"append_many, batches of {BATCH}": append,
            "a collector's outbox, encoding too": collect,
        }
        _compare(steps, len(usage), size)


def _producer(broker: Broker) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=broker.address, compression_type="lz4", **kafka_writer.OPTIONS
    )


def _fill(broker: Broker, partition: int, nodes: int, steps: int) -> _Fleet:
    """Put the records of a fleet into its partition."""
    messages = size = 0
    with _producer(broker) as producer:
        for both in fleet_records(nodes, steps, WORKLOADS):
            for topic, batch in zip(TOPICS, both, strict=True):
                for message in batch:
                    producer.send(topic, message.value, message.key.encode(), partition=partition)
                    messages, size = messages + 1, size + len(message.value)
            producer.flush()
    return _Fleet(nodes, partition, nodes * (steps - 1), messages, size)


def _consume(log: KafkaLog, broker: Broker, folder: str, fleet: _Fleet) -> None:
    store = open_store(f"file://{folder}/store")

    def raw() -> None:
        with KafkaConsumer(bootstrap_servers=broker.address, **kafka_fetches.OPTIONS) as consumer:
            consumer.assign([KafkaPartition(*where) for where in fleet.begin])
            left = fleet.messages
            while left:
                left -= sum(map(len, consumer.poll(1000, POLLED).values()))

    def learn(experts: Sequence[str]) -> None:
        parts = Parts(
            log=log,
            pool=pool(experts),
            checkpoints=Checkpoints(store, f"bench-{time.monotonic_ns()}"),
            publisher=Publisher(ModelStore(store)),
            dead_letter=DeadLetters(log).send,
        )
        worker = Worker(parts, [fleet.partition])
        worker.run_to_end()
        assert worker.commit()
        learned = worker.shards[fleet.partition].learner.counts["samples"]
        assert learned == fleet.samples, (learned, fleet.samples)

    steps = {
        "poll, kafka-python": raw,
        "poll": lambda: sum(map(len, _polled(log, fleet))),
        "poll, msgspec alone": lambda: _decode_all(log, fleet),
        f"poll, decode, join (limit {JOIN_LIMIT})": lambda: _join_all(log, fleet),
        "to the checkpoint, ridges alone": lambda: learn(("ridge",)),
        "to the checkpoint, default experts": lambda: learn(DEFAULT_BANKS),
    }
    *_, ridges, experts = _compare(steps, fleet.messages, fleet.bytes)
    for name, learned in (("ridges alone", ridges), ("default experts", experts)):
        wall, cpu = fleet.samples / learned.seconds, fleet.samples / learned.cpu_seconds
        print(
            f"  learned, {name}: {wall:.0f} samples/s, {cpu:.0f} a second of processor time", end=""
        )
        print(f" ({cpu / LIMIT:.2f} of {LIMIT:.0f})", flush=True)


def _batches(messages: list[Outgoing]) -> Iterator[list[Outgoing]]:
    for start in range(0, len(messages), BATCH):
        yield messages[start : start + BATCH]


def _polled(log: KafkaLog, fleet: _Fleet) -> Iterator[list[Message]]:
    """All messages of the fleet, poll by poll."""
    left = fleet.messages
    with closing(log.reader(fleet.begin)) as reader:
        while left:
            messages = reader.poll(POLLED, 1.0)
            left -= len(messages)
            yield messages


def _decode_all(log: KafkaLog, fleet: _Fleet) -> None:
    """The least that reading can take: JSON to typed values, nothing checked beyond the types."""
    usage, power = msgspec.json.Decoder(UsageRecord), msgspec.json.Decoder(PowerRecord)
    for messages in _polled(log, fleet):
        for message in messages:
            (usage if message.topic == USAGE_TOPIC else power).decode(message.value)


def _join_all(log: KafkaLog, fleet: _Fleet) -> None:
    """What a worker does before it learns, with all the order it keeps."""
    join, joined, left = Join(), 0, fleet.messages
    merge = Merge(time.time, lambda topic: False)
    unread: tuple[deque[Message], ...] = tuple(deque() for _ in TOPICS)
    for messages in _polled(log, fleet):
        left -= len(messages)
        for message in messages:
            unread[TOPICS.index(message.topic)].append(message)
        while True:
            for topic, queue in enumerate(unread):
                if queue and not merge.waiting(topic):
                    merge.add(topic, read(queue.popleft()))
                merge.ended[topic] = not left and not queue
            entry = merge.next()
            if entry is None:
                break
            if isinstance(entry.record, PowerRecord):
                joined += len(join.add_power(entry.record))
            elif entry.record is not None:
                joined += len(join.add_usage(entry.record))
    assert joined == fleet.samples, (joined, fleet.samples)


def _compare(steps: Mapping[str, Callable[[], object]], messages: int, size: int) -> list[Measured]:
    """Do every step some times, in turn; print and return each one's quickest."""
    rounds = [[_measured(step, messages, size) for step in steps.values()] for _ in range(ROUNDS)]
    best = [min(ways, key=lambda way: way.seconds) for ways in zip(*rounds, strict=True)]
    print(f"  {'':36} {'messages/s':>10} {'MB/s':>6} {'cpu us':>7} {'of client':>9}")
    for name, way in zip(steps, best, strict=True):
        print(
            f"  {name:36} {way.messages / way.seconds:>10.0f} {way.bytes / way.seconds / 1e6:>6.1f}"
            f" {1e6 * way.cpu_seconds / way.messages:>7.1f}"
            f" {best[0].seconds / way.seconds:>9.2f}",
            flush=True,
        )
    return best


def _measured(step: Callable[[], object], messages: int, size: int) -> Measured:
    started, cpu_started = time.perf_counter(), time.process_time()
    step()
    seconds = time.perf_counter() - started
    return Measured(messages, size, seconds, time.process_time() - cpu_started)


if __name__ == "__main__":
    try:
        run()
    except MissingToolError as error:
        print(f"skipped: {error}")
        sys.exit(0)
