"""A long topic through one worker on Kafka: resident memory and rate, from tenth to tenth.

``python -m tests.bench.bench_memory``. It needs ``java``, and ``mvn`` once. Records are small, so
that there are many of them for their bytes: what grows by record shows here.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from kafka import KafkaProducer

from stream.learning.intake import TOPICS
from stream.learning.worker import relax_garbage_collection
from stream.log import kafka_writer
from stream.log.kafka import KafkaLog
from stream.log.protocol import TopicSpec
from stream.records import DEAD_TOPIC
from tests.bench.fleet import fleet_records
from tests.bench.learner import learner_of
from tests.kafka.broker import Broker, free_ports
from tests.kafka.jars import MissingToolError

NODES, STEPS, WORKLOADS = 100, 1501, 1
TENTHS = 10
GROWTH_LIMIT_MIB = 8.0
"""From the first tenth, by which all nodes and snapshots of the models are there, to the last."""


def run() -> None:
    """Print resident memory after each tenth of the topic, and how much it grew."""
    relax_garbage_collection()
    with (
        tempfile.TemporaryDirectory() as folder,
        Broker(Path(folder) / "kafka", *free_ports(2), heap_mib=512, quick=False) as broker,
        KafkaLog(broker.url) as log,
    ):
        log.create_topics([TopicSpec(topic, 1) for topic in (*TOPICS, DEAD_TOPIC)])
        _fill(broker)
        _read(log, folder)


def _fill(broker: Broker) -> None:
    with KafkaProducer(
        bootstrap_servers=broker.address, compression_type="lz4", **kafka_writer.OPTIONS
    ) as producer:
        for both in fleet_records(NODES, STEPS, WORKLOADS):
            for topic, batch in zip(TOPICS, both, strict=True):
                for message in batch:
                    producer.send(topic, message.value, message.key.encode(), partition=0)
            producer.flush()


def _read(log: KafkaLog, folder: str) -> None:
    worker = learner_of(log, f"file://{folder}/store")
    resident: list[float] = []
    started = time.perf_counter()

    def progress(done: int, total: int) -> None:
        if done < total * (len(resident) + 1) / TENTHS:
            return
        worker.commit()
        resident.append(_resident_mib())
        rate = done / (time.perf_counter() - started)
        print(f"  {done:>8} messages: {resident[-1]:6.1f} MiB, {rate:6.0f} messages/s", flush=True)

    worker.run_to_end(progress)
    assert worker.shards[0].learner.counts["samples"] == NODES * (STEPS - 1)
    growth = resident[-1] - resident[0]
    print(f"  growth from the first to the last tenth: {growth:.1f} MiB (limit {GROWTH_LIMIT_MIB})")


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    try:
        run()
    except MissingToolError as error:
        print(f"skipped: {error}")
        sys.exit(0)
