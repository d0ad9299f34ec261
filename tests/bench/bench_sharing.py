"""One learner beside two that share the partitions, each a process of its own, on one broker.

``python -m tests.bench.bench_sharing``. Needs ``java``, and ``mvn`` once. The records lie in the
log before the learners start; what counts is the time between a tenth and nine tenths of them.
``BENCH_NODES`` (default 200; 10000 for a fleet) and ``BENCH_STEPS`` set the size.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from stream.log.kafka import KafkaLog
from tests.bench.fleet import fill
from tests.kafka.broker import Broker, free_ports
from tests.kafka.jars import MissingToolError

LIMIT: Final = 1.6
"""Two learners on two cores learn so many times as much as one, at least."""
FLEET: Final = 10_000 / 3
"""Samples a second of 10,000 nodes, one every 3 s."""
NODES: Final = int(os.environ.get("BENCH_NODES", "200"))
STEPS: Final = int(os.environ.get("BENCH_STEPS", "150"))
WORKLOADS: Final = 50
PARTITIONS: Final = 12
PATIENCE_SECONDS: Final = 600.0


class Reading(NamedTuple):
    """How many samples had been learned at a time, by all learners, and their processor time."""

    at: float
    samples: float
    cpu_seconds: float


def run() -> None:
    """Print samples a second of one learner and of two, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka", *free_ports(2), heap_mib=512, quick=False)
        with broker, KafkaLog(broker.url) as log:
            samples = fill(log, NODES, STEPS, WORKLOADS, PARTITIONS)
            print(f"{NODES} nodes, {samples} samples of {WORKLOADS} workloads, 12 partitions")
            one = _measure(broker.url, Path(folder), samples, 1)
            two = _measure(broker.url, Path(folder), samples, 2)
    print(f"  ratio of two learners to one: {two / one:.2f} (limit {LIMIT})")
    print(f"  one learner to 10,000 nodes at 3 s ({FLEET:.0f} samples/s): {one / FLEET:.2f}")
    print(f"  two learners to them: {two / FLEET:.2f}")


def _measure(url: str, folder: Path, samples: int, learners: int) -> float:
    """Samples a second of so many learners together."""
    readings: list[Reading] = []
    with _learners(url, folder, learners) as (ports, processes):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not readings or readings[-1].samples < 0.9 * samples:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{readings[-1:]} of {samples} in {PATIENCE_SECONDS:g} s")
            time.sleep(0.1)
            readings.append(_reading(ports, processes))
    first = next(one for one in readings if one.samples >= 0.1 * samples)
    last = readings[-1]
    learned, seconds = last.samples - first.samples, last.at - first.at
    cpu = last.cpu_seconds - first.cpu_seconds
    print(
        f"  {learners} learner(s): {learned / seconds:.0f} samples/s,"
        f" {learned / cpu:.0f} a second of processor time",
        flush=True,
    )
    return learned / seconds


@contextmanager
def _learners(
    url: str, folder: Path, count: int
) -> Iterator[tuple[list[int], list[subprocess.Popen[bytes]]]]:
    """So many learners that share a new store; they end with the block."""
    ports = free_ports(count)
    store = folder / f"store-{count}"
    processes = []
    try:
        for number, port in enumerate(ports):
            words = ["learn", "--log", url, "--store", f"file:{store}", "--partitions", PARTITIONS]
            words += ["--data", folder / f"data-{count}-{number}", "--log-level", "error"]
            words += ["--metrics-port", port, "--session-timeout", 3, "--commit-interval", 5]
            program = [sys.executable, "-c", "from server.main import main; main()"]
            processes.append(subprocess.Popen([*program, *map(str, words)]))
        yield ports, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
        time.sleep(4)  # the session of those who were killed ends


def _reading(ports: list[int], processes: list[subprocess.Popen[bytes]]) -> Reading:
    samples = 0.0
    for port in ports:
        try:
            page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text
        except httpx.TransportError:
            continue  # it has not started yet
        for line in page.splitlines():
            if line.startswith("wattstream_learner_samples_total{"):
                samples += float(line.rpartition(" ")[2])
    return Reading(time.monotonic(), samples, sum(_cpu_seconds(one.pid) for one in processes))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    try:
        run()
    except MissingToolError as error:
        print(f"skipped: {error}")
        sys.exit(0)
