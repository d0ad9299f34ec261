"""Ten thousand nodes through one learner: memory by workload, and cost by sample.

``python -m tests.bench.bench_fleet``
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path

from estimator.storage.store import open_store
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.worker import Parts, Worker, relax_garbage_collection
from stream.letters.dead_letters import DeadLetters
from stream.log.sqlite import SqliteLog
from tests.bench.fleet import fill

MEMORY_LIMIT_BYTES = 1024
COST_LIMIT = 1.3
WORKLOADS = 10


def run() -> None:
    """Print what 10,000 nodes cost beside ten."""
    relax_garbage_collection()
    print(f"one learner, {WORKLOADS} workloads of 9 features a node")
    few, _ = _measure(10, 1001)
    many, memory = _measure(10_000, 4)
    print(f"  us a sample: {few:.0f} with 10 nodes, {many:.0f} with 10,000 nodes")
    print(f"  ratio of 10,000 to 10 nodes: {many / few:.2f} (limit {COST_LIMIT})")
    print(f"  bytes an active workload, 10,000 nodes: {memory:.0f} (limit {MEMORY_LIMIT_BYTES})")


def _measure(nodes: int, steps: int) -> tuple[float, float]:
    """CPU microseconds by sample, and bytes of resident memory gained by workload."""
    with tempfile.TemporaryDirectory() as folder, SqliteLog(Path(folder) / "log.sqlite") as log:
        samples = fill(log, nodes, steps, WORKLOADS)
        parts = Parts(
            log=log,
            pool=pool(),
            checkpoints=Checkpoints(open_store("memory:"), "bench"),
            publisher=None,
            dead_letter=DeadLetters(log).send,
        )
        worker = Worker(parts, [0])
        gc.collect()
        before, started = _resident_bytes(), time.process_time()
        worker.run_to_end()
        spent = time.process_time() - started
        gc.collect()
        gained = _resident_bytes() - before
        learned = worker.shards[0].learner.counts["samples"]
        assert learned == samples, (learned, samples)
        return 1e6 * spent / samples, gained / (nodes * WORKLOADS)


def _resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    run()
