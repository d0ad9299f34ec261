"""The estimator's socket beside the least that an asyncio server can do, in one run.

    python -m tests.bench.bench_socket

Both servers are processes of their own; every request takes a new connection and one write, as
Kepler's do. The models are trained here, on made-up samples.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FEATURES = ("bpf_cpu_time_ms", "bpf_page_cache_hit")
CONSTANT = b'{"powers":{"package":[26.125]},"msg":"","core_ratio":1}'
ROUNDS = 3


def serve_constant(path: str) -> None:
    """Answer whatever comes with a constant."""

    class Constant(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"}"):
                self.transport.write(CONSTANT)  # type: ignore[attr-defined]  # a socket's transport

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(Constant, path, backlog=4096)
        await server.serve_forever()

    asyncio.run(main())


def serve_estimator(path: str) -> None:
    """Answer with a trained model."""
    from estimator.answering import Answerer
    from estimator.machine import MachineSpec
    from estimator.socket_server import EstimatorServer, serve
    from tests.estimator.served import Shelf, entry

    serve(EstimatorServer(Answerer(Shelf(entry(FEATURES)), MachineSpec(cores=8)), [path]))


@contextlib.contextmanager
def serving(kind: str, folder: str) -> Iterator[tuple[str, int]]:
    """A server process: its path and its process id."""
    path = f"{folder}/{kind}.sock"
    command = [sys.executable, "-m", "tests.bench.bench_socket", kind, path]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment) as process:
        try:
            until = time.monotonic() + 30
            while not answers(path) and time.monotonic() < until:
                time.sleep(0.01)
            yield path, process.pid
        finally:
            process.terminate()


def answers(path: str) -> bool:
    try:
        return bool(one(path, request(1)))
    except OSError:
        return False


def request(rows: int) -> bytes:
    values = [[1500.0 + at * 1.375, 12.0 + at % 7] for at in range(rows)]
    wanted = {
        "metrics": FEATURES,
        "values": values,
        "output_type": "AbsPower",
        "source": "rapl-sysfs",
        "system_features": ["cpu_architecture"],
        "system_values": ["Sky Lake"],
        "trainer_name": "",
        "filter": "",
    }
    return json.dumps(wanted, separators=(",", ":")).encode()


def one(path: str, payload: bytes) -> bytes:
    """One request as Kepler makes it: a queue that is full refuses at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(path)
        connection.sendall(payload)
        return connection.recv(1 << 16)


def latencies_ms(path: str, rows: int, count: int) -> list[float]:
    payload = request(rows)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        answer = one(path, payload)
        taken.append((time.perf_counter() - started) * 1e3)
        if not answer.endswith(b"}") or b'"msg":""' not in answer:
            raise SystemExit(f"bad answer: {answer[:200]!r}")
    return taken


def _work(path: str, rows: int, count: int, results: Any) -> None:
    results.put(latencies_ms(path, rows, count))


def together(path: str, rows: int, clients: int, count: int) -> tuple[float, list[float]]:
    """Requests per second of so many clients at once, and all latencies."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=_work, args=(path, rows, count // clients, results))
        for _ in range(clients)
    ]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    taken = [ms for _ in workers for ms in results.get()]
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return len(taken) / seconds, taken


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main(requests: int = 2000) -> dict[str, float]:
    """Measure; the best of some rounds, so that a busy moment of the machine does not count."""
    figures: dict[str, float] = {}

    def note(name: str, value: float, better: Any = min) -> None:
        figures[name] = better(figures.get(name, value), value)

    with (
        tempfile.TemporaryDirectory() as folder,
        serving("constant", folder) as (constant, _),
        serving("estimator", folder) as (estimator, pid),
    ):
        for _ in range(ROUNDS):
            for name, path, rows in (
                ("constant", constant, 1),
                ("1 row", estimator, 1),
                ("100 rows", estimator, 100),
                ("500 rows", estimator, 500),
            ):
                taken = latencies_ms(path, rows, requests)
                note(f"{name}: p50 ms", percentile(taken, 50))
                note(f"{name}: p99 ms", percentile(taken, 99))
                note(f"{name}: requests/s serial", 1000 * len(taken) / sum(taken), max)
            for name, path in (("constant", constant), ("1 row", estimator)):
                rate, _taken = together(path, 1, 8, 4 * requests)
                note(f"{name}: requests/s, 8 clients", rate, max)
            _, taken = together(estimator, 100, 8, 2 * requests)
            note("100 rows: p99 ms, 8 clients", percentile(taken, 99))
        figures["1 row: p50 to constant"] = figures["1 row: p50 ms"] / figures["constant: p50 ms"]
        figures["resident MiB"] = resident_mib(pid)
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["constant"]:
        serve_constant(sys.argv[2])
    elif sys.argv[1:2] == ["estimator"]:
        serve_estimator(sys.argv[2])
    else:
        for figure, measured in sorted(main().items()):
            print(f"{figure:32} {measured:10.3f}")
