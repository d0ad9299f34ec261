"""The estimator with its export: memory, processor time at 5 s, time of an estimate, start.

``python -m tests.bench.bench_export``. A made-up Kepler shows a host of many processes; the models
are those of the default pool, of a small fleet of this machine's type.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np

from estimator.system.discovery import discover_machine
from estimator.vocabulary import FEATURE_GROUPS
from stream.log.memory import MemoryLog
from stream.log.protocol import Outgoing, TopicSpec
from stream.records import (
    DEAD_TOPIC,
    POWER_TOPIC,
    USAGE_TOPIC,
    PowerRecord,
    UsageRecord,
    Zone,
    encode,
)
from tests.bench.learner import learner_of
from tests.estimator.export.host import FAKE_PATH, Answering, Host, answering, total

PROCESSES = 300
STEPS = 1200
SECONDS = 60.0
MEMORY_LIMIT_MIB, PROCESSOR_LIMIT, INFERENCE_LIMIT_SECONDS = 60.0, 0.01, 0.001
START_LIMIT_SECONDS = 1.0


def run() -> None:
    """Print what the export takes of a machine, each beside its limit."""
    folder = Path(tempfile.mkdtemp(prefix="ws"))
    host = Host(paths={"package": FAKE_PATH, "core": FAKE_PATH, "dram": FAKE_PATH})
    pids = [*(f"10{n}" for n in (1, 2, 3)), *(f"{2 + n % 2}{n:03d}" for n in range(PROCESSES - 3))]
    host.seconds = dict.fromkeys(pids, 5.0)
    try:
        _learn(f"file://{folder}/store")
        with answering() as kepler:
            _measure(folder, host, kepler)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, host: Host, kepler: Answering) -> None:
    kepler.text = host.page()
    port = 28997
    command = [sys.executable, "-c", "from server.main import main; main()", "estimate"]
    command += ["--store", f"file://{folder}/store", "--data", str(folder), "--interval", "5"]
    command += ["--socket", str(folder / "e.sock"), "--export", f"127.0.0.1:{port}"]
    command += ["--export-kepler", kepler.url]
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _page(port)
        first = time.perf_counter() - started
        time.sleep(1.0)
        before, began = _processor_seconds(process.pid), time.perf_counter()
        text = ""
        while time.perf_counter() - began < SECONDS:
            for pid in host.seconds:
                host.seconds[pid] += 0.02
            kepler.text = host.page()
            time.sleep(5.0)
            text = _page(port)
        used = _processor_seconds(process.pid) - before
        share = used / (time.perf_counter() - began)
        slowest = max(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("kepler_vm_model_inference_duration_seconds{")
        )
        whole = total(text, "kepler_node_cpu_active_joules_total", zone="package")
        shared = total(text, "kepler_process_cpu_joules_total", zone="package")
        print(f"  {len(host.seconds)} processes, page of {len(text) >> 10} KiB")
        print(f"  first page after process start: {first:.2f} s (limit {START_LIMIT_SECONDS})")
        print(f"  resident: {_resident_mib(process.pid):.1f} MiB (limit {MEMORY_LIMIT_MIB})")
        print(f"  processor at 5 s: {100 * share:.2f} % of one (limit {100 * PROCESSOR_LIMIT} %)")
        print(f"  estimate: {1e3 * slowest:.2f} ms (limit {1e3 * INFERENCE_LIMIT_SECONDS})")
        print(f"  shares of the package differ from the node by {abs(shared / whole - 1):.1e}")
    finally:
        process.terminate()
        process.wait(10)


def _learn(store_url: str) -> None:
    """Leave models of this machine's type, by `/proc` and by CPU time alone, in the store."""
    with MemoryLog() as log:
        log.create_topics([TopicSpec(topic, 1) for topic in (USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC)])
        for usage, power in _records(STEPS):
            log.append_many(USAGE_TOPIC, [Outgoing("n", encode(usage))])
            log.append_many(POWER_TOPIC, [Outgoing("n", encode(power))])
        worker = learner_of(log, store_url)
        worker.run_to_end()
        assert worker.commit()


def _records(steps: int) -> Iterator[tuple[UsageRecord, PowerRecord]]:
    rng, machine = np.random.default_rng(1), discover_machine()
    features = [*FEATURE_GROUPS["NodeStat"], "bpf_cpu_time_ms"]
    counters, joules = np.zeros(len(features)), np.zeros(3)
    start = round(time.time() * 1000) - steps * 3000
    for step in range(steps):
        busy, at = rng.uniform(0.0, machine.cores), start + step * 3000
        grown = 1000.0 * busy * rng.uniform(0.7, 1.3, len(features)) * 3.0
        grown[-1] = 3000.0 * busy
        counters += grown
        joules += (np.array([10.0, 4.0, 2.0]) + np.array([20.0, 15.0, 3.0]) * busy) * 3.0
        rates = dict(zip(features, counters.tolist(), strict=True))
        rates |= {"procs_running": busy, "cpu_scaling_frequency_hertz": 2e9}
        zones = [
            Zone(name, name, value)
            for name, value in zip(("package", "core", "dram"), joules.tolist(), strict=True)
        ]
        yield (
            UsageRecord(1, "n", at, "counter", machine=machine, node_features=rates),
            PowerRecord(1, "n", at, "rapl-sysfs", zones=zones),
        )


def _page(port: int) -> str:
    until = time.perf_counter() + 30
    while True:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert time.perf_counter() < until
        time.sleep(0.01)


def _processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    run()
