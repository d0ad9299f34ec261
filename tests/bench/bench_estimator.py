"""The estimator's process: memory, and the time from its start to the first answer.

``python -m tests.bench.bench_estimator``
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from estimator.errors import WattstreamError
from estimator.kepler_socket.client import ask
from stream.log.memory import MemoryLog
from tests.bench.fleet import FEATURES, fill
from tests.bench.learner import learner_of

MEMORY_LIMIT_MIB = 60.0
START_LIMIT_SECONDS = 0.5
ROUNDS = 5
REQUESTS = 5000


def run() -> None:
    """Print the estimator's memory and start-up, from a store with models of the default pool."""
    folder = Path(tempfile.mkdtemp(prefix="ws"))
    try:
        _learn(f"file://{folder}/store")
        rounds = [_round(folder) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(folder)
    first = statistics.median(seconds for seconds, _ in rounds)
    memory = max(mib for _, mib in rounds)
    print(f"  first answer after process start: {first:.2f} s (limit {START_LIMIT_SECONDS})")
    print(f"  resident after {REQUESTS} requests: {memory:.1f} MiB (limit {MEMORY_LIMIT_MIB})")


def _learn(store_url: str) -> None:
    """Leave the models of a small fleet in the store."""
    with MemoryLog() as log:
        fill(log, 10, 50, 20)
        worker = learner_of(log, store_url)
        worker.run_to_end()
        assert worker.commit()


def _round(folder: Path) -> tuple[float, float]:
    """Seconds to the first answer, and MiB resident after some thousand requests."""
    path = folder / "estimator.sock"
    command = [
        str(Path(sys.executable).parent / "wattstream"),
        "estimate",
        "--store",
        f"file://{folder}/store",
        "--socket",
        str(path),
    ]
    request = {
        "metrics": list(FEATURES),
        "values": [list(FEATURES.values())],
        "output_type": "AbsPower",
        "source": "intel_rapl",
        "system_features": [],
        "system_values": [],
        "trainer_name": "",
        "filter": "",
    }
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                answer = ask(path, request)
                break
            except WattstreamError:
                if time.perf_counter() - started > 30:
                    raise
                time.sleep(0.002)
        first = time.perf_counter() - started
        assert not answer["msg"], answer
        for _ in range(REQUESTS):
            ask(path, request)
        status = Path(f"/proc/{process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return first, int(line.split()[1]) / 1024
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    run()
