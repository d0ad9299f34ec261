"""From the SQLite log to learned and checkpointed: node samples a second on one core.

``python -m tests.bench.bench_learning``
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from stream.learning.worker import relax_garbage_collection
from stream.log.protocol import TopicPartition
from stream.log.sqlite import SqliteLog
from stream.records import POWER_TOPIC, USAGE_TOPIC, decode_power, decode_usage
from tests.bench.fleet import fill
from tests.bench.learner import learner_of

LIMIT = 5000.0
WORKLOADS = 50


def run() -> None:
    """Print the rates for fleets of several sizes, the raw decode rate beside each."""
    relax_garbage_collection()
    print(f"log to checkpoint, {WORKLOADS} workloads of 9 features a record, default pool")
    print(
        f"{'nodes':>6} {'samples':>8} {'samples/s':>10} {'of limit':>9} "
        f"{'decode/s':>9} {'ratio':>6}"
    )
    for nodes, steps in ((10, 601), (100, 201), (1000, 21)):
        _measure(nodes, steps)


def _measure(nodes: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder, SqliteLog(Path(folder) / "log.sqlite") as log:
        samples = fill(log, nodes, steps, WORKLOADS)
        decode = samples / _decode_seconds(log)
        worker = learner_of(log, f"file://{folder}/store")
        started = time.process_time()
        worker.run_to_end()
        assert worker.commit()
        rate = samples / (time.process_time() - started)
        learned = worker.shards[0].learner.counts["samples"]
        assert learned == samples, (learned, samples)
        print(
            f"{nodes:>6} {samples:>8} {rate:>10.0f} {rate / LIMIT:>9.2f} {decode:>9.0f} "
            f"{rate / decode:>6.2f}",
            flush=True,
        )


def _decode_seconds(log: SqliteLog) -> float:
    """CPU seconds to decode all records, nothing else."""
    messages = []
    for topic in (USAGE_TOPIC, POWER_TOPIC):
        reader = log.reader({TopicPartition(topic, 0): 0})
        while found := reader.poll(1000, 0.0):
            messages += found
        reader.close()
    started = time.process_time()
    for message in messages:
        (decode_usage if message.topic == USAGE_TOPIC else decode_power)(message.value)
    return time.process_time() - started


if __name__ == "__main__":
    run()
