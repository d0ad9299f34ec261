"""Versions held back where nothing is wrong (false alarms), and what judging them costs.

``python -m tests.bench.bench_gate [STREAMS] [TRACE.csv]``: takes half a minute a stream, so that
`tests.bench` leaves it out.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from estimator.artifacts.artifact import Artifact
from estimator.learning.recent_samples import Samples
from estimator.storage.model_index import ModelIndex
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from stream.learning import checkpoint
from stream.learning.gate import Gate, Verdict
from stream.learning.learner import Learner
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.sample import Sample
from tests.stream.builders import MACHINE, START_MS

FEATURES = ("bpf_cpu_time_ms", "cache_miss", "cpu_cycles", "cpu_instructions")
STEP_MS = 3_000
COMMIT_MS = 5_000

Row = tuple[int, tuple[float, ...], tuple[float, ...]]
"""When, rates by feature, watts of package and dram."""


class _TimedGate(Gate):
    seconds, judged = 0.0, 0

    def _judge(self, index: ModelIndex, artifact: Artifact, samples: Samples) -> Verdict:
        started = time.perf_counter()
        try:
            return super()._judge(index, artifact, samples)
        finally:
            self.seconds += time.perf_counter() - started
            self.judged += 1


class _Shard:
    """A shard as the publisher needs it."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.positions: dict[str, int] = {}
        self.learner = Learner(pool())

    def learn(self, row: Row) -> None:
        at, rates, watts = row
        node, components = f"n{self.partition}", ("package", "dram")
        sample = (node, MACHINE, "rapl-sysfs", at - STEP_MS, at)
        self.learner.learn_one(Sample(*sample, FEATURES, np.array(rates), components, watts))


def machine(seconds: int, seed: int, step_at: float = float("inf")) -> Iterator[Row]:
    """A machine of a changing load and noise; 15 W more from a time on."""
    rng = np.random.default_rng(seed)
    load = 0.3
    for number in range(1, seconds * 1000 // STEP_MS + 1):
        if rng.random() < 0.05:
            load = rng.random()
        busy = 4 * min(max(load + rng.normal(0, 0.03), 0), 1)
        spread = 1 + rng.normal(0, (0.1, 0.03, 0.05))
        rates = (1e3 * busy, *(busy * spread * (4e6, 2e9, 3e9)).tolist())
        more = 15.0 if number * STEP_MS / 1000 > step_at else 0.0
        package = 30 + 18 * busy + 3 * busy**2 + rng.normal(0, 1.0) + more
        dram = 5 + 3 * busy + rng.normal(0, 0.2)
        yield START_MS + number * STEP_MS, rates, (max(package, 0.0), max(dram, 0.0))


def trace(path: Path) -> Iterator[Row]:
    """The rows of a trace in the form of kepler-model-server's."""
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rates = (float(row["bpf_cpu_time_us"]) / 1000, *(float(row[f]) for f in FEATURES[1:]))
            watts = float(row["package_power"]), float(row["dram_power"])
            yield int(float(row["timestamp"]) * 1000), rates, watts


def measure(name: str, streams: Iterable[Iterable[Row]], waits: tuple[int, ...] = (0,)) -> None:
    """Learn streams, each in a shard that begins after so many rows; print what the gate did."""
    models = ModelStore(InMemoryStore())
    publisher, gate = Publisher(models), _TimedGate(models)
    publisher._gate = gate
    shards = [_Shard(partition) for partition in range(len(waits))]
    committed, publishing = 0, 0.0
    for number, rows in enumerate(zip(*streams, strict=True)):
        for shard, row, wait in zip(shards, rows, waits, strict=True):
            if number >= wait:
                shard.learn(row)
        if rows[0][0] - committed >= COMMIT_MS:
            committed, started = rows[0][0], time.perf_counter()
            publisher.publish(*shards)
            publishing += time.perf_counter() - started
    indexes = models.indexes().values()
    held, back = sum(i.held_back for i in indexes), sum(len(i.rollbacks) for i in indexes)
    state = shards[0].learner.state()
    size = len(checkpoint.encode(state))
    for saved in state["models"]:
        del saved["model"]["noted"]
    notes = size - len(checkpoint.encode(state))
    print(
        f"{name:>12}: {gate.judged} versions judged, {held} held back, {back} models rolled back; "
        f"{gate.seconds / publishing:.0%} of publishing; notes {notes / size:.1%} of the state",
        flush=True,
    )


def run(streams: int = 10, path: Path | None = None) -> None:
    """Print it for so many streams of two hours, for a step, for four shards, and for a trace."""
    for seed in range(20, 20 + streams):
        measure(f"stream {seed}", [machine(7200, seed)])
    measure("step", [machine(5400, 77, step_at=2700)])
    measure("four shards", [machine(4800, 100 + n) for n in range(4)], waits=(0, 0, 600, 900))
    if path is not None:
        measure("trace", [trace(path)])


if __name__ == "__main__":
    given = sys.argv[1:]
    run(int(given[0]) if given else 10, Path(given[1]) if len(given) > 1 else None)
