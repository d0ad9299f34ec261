"""The estimator's socket beside the least that an asyncio server can do, in one run.

    python -m tests.bench.bench_socket

The estimator is the real command, with models of the default pool in a store; every request takes
a new connection and one write, as Kepler's do, and is parsed when it has come. The limits are for
a machine with two cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

FEATURES: Final = ("bpf_cpu_time_ms", "bpf_page_cache_hit")
CONSTANT: Final = b'{"powers":{"package":[26.125]},"msg":"","core_ratio":1}'
KEPLER_READS: Final = 4096
ROUNDS: Final = 3
ENVIRONMENT: Final = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


class Figure(NamedTuple):
    """What was measured, and what it should be at most, or at least."""

    name: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        verdict = "" if self.kept else "   <-- not kept"
        return f"  {self.name:58} {self.value:10.3f} {self.unit:4} ({bound}){verdict}"


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


@contextlib.contextmanager
def process(command: list[str], path: str) -> Iterator[tuple[int, float]]:
    """A server process: its process id, and the seconds from its start to its first answer."""
    started = time.perf_counter()
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as server:
        try:
            payload, until = request(1), time.monotonic() + 30
            while True:
                with contextlib.suppress(OSError):
                    one(path, payload)
                    break
                if time.monotonic() > until:
                    raise SystemExit(f"{command} does not answer")
                time.sleep(0.001)
            yield server.pid, time.perf_counter() - started
        finally:
            server.terminate()


def estimator(folder: str, *more: str) -> tuple[list[str], str]:
    """The command that serves the store in the folder, and where it answers."""
    path = f"{folder}/estimator.sock"
    command = [str(Path(sys.executable).parent / "wattstream"), "estimate", "--socket", path]
    return [*command, "--store", f"file:{folder}/store", "--data", f"{folder}/data", *more], path


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


def one(path: str, payload: bytes) -> Mapping[str, Any]:
    """One request as Kepler makes it: a queue that is full refuses at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(path)
        connection.sendall(payload)
        answer = connection.recv(1 << 20)
        return dict(json.loads(answer), bytes=len(answer))


def latencies_ms(path: str, rows: int, count: int) -> list[float]:
    payload = request(rows)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        answer = one(path, payload)
        taken.append((time.perf_counter() - started) * 1e3)
        if answer["msg"]:
            raise SystemExit(f"bad answer: {answer['msg']!r}")
    return taken


def _work(path: str, rows: int, count: int, start: Any, results: Any) -> None:
    start.wait()
    results.put(latencies_ms(path, rows, count))


def together(path: str, rows: int, clients: int, count: int) -> tuple[float, list[float]]:
    """Requests per second of so many clients at once, and all latencies; none may be refused."""
    context = multiprocessing.get_context("fork")
    results, start = context.Queue(), context.Event()
    workers = [
        context.Process(target=_work, args=(path, rows, count // clients, start, results))
        for _ in range(clients)
    ]
    for worker in workers:
        worker.start()
    time.sleep(0.1)
    started = time.perf_counter()
    start.set()
    taken = [ms for _ in workers for ms in results.get(timeout=60)]
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return len(taken) / seconds, taken


@contextlib.contextmanager
def swapping(store: Any, versions: list[Any]) -> Iterator[None]:
    """Publish another version of the model every second."""
    stop = threading.Event()

    def swap() -> None:
        for version in itertools.cycle(versions):
            store.publish(version)
            if stop.wait(1.0):
                return

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def rows_in_one_read(path: str) -> int:
    """How many rows of all four components fit into what Kepler reads."""

    def fits(rows: int) -> bool:
        answer = one(path, request(rows))
        return answer["bytes"] <= KEPLER_READS and len(answer["powers"]) == 4

    return next(rows for rows in itertools.count(1) if not fits(rows + 1))


def publish_models(folder: str) -> tuple[Any, list[Any]]:
    """A store with models of the default pool; the store, and versions to swap."""
    from estimator.artifacts.artifact import Artifact
    from estimator.storage.model_store import ModelStore
    from estimator.storage.store import open_store
    from stream.learning.pools import pool
    from tests.estimator.served import entry

    store = ModelStore(open_store(f"file:{folder}/store"))
    made = [entry(FEATURES, seed=seed, banks=pool().banks) for seed in (1, 2, 3)]
    versions = [Artifact(found.manifest, found.model) for found in made]
    store.publish(versions[0])
    return store, versions


def main(requests: int = 2000) -> list[Figure]:
    """Measure; the best of some rounds, so that a busy moment of the machine does not count."""
    with tempfile.TemporaryDirectory() as folder:
        store, versions = publish_models(folder)
        first = _first_answer(folder)
        constant = f"{folder}/constant.sock"
        command = [sys.executable, "-m", "tests.bench.bench_socket", "constant", constant]
        with process(command, constant):
            return [*_speed(folder, constant, requests), *_swapped(folder, store, versions), first]


def _first_answer(folder: str) -> Figure:
    seconds = []
    for _ in range(2 * ROUNDS):
        command, path = estimator(folder)
        with process(command, path) as (_, first):
            seconds.append(first)
    return Figure("first answer after process start, model on disk", min(seconds), "s", 0.5)


def _speed(folder: str, constant: str, requests: int) -> Iterator[Figure]:
    command, path = estimator(folder)
    with process(command, path) as (pid, _):
        p50: dict[str, float] = {}
        rate: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, where, rows in (
                ("constant", constant, 1),
                ("1 row", path, 1),
                ("100 rows", path, 100),
                ("500 rows", path, 500),
            ):
                taken = latencies_ms(where, rows, requests)
                p50[name] = min(p50.get(name, math.inf), percentile(taken, 50))
                rate[name] = max(rate.get(name, 0.0), 1000 * len(taken) / sum(taken))
            for name, where in (("constant", constant), ("1 row", path)):
                found, _taken = together(where, 1, 8, 4 * requests)
                rate[f"{name}, 8"] = max(rate.get(f"{name}, 8", 0.0), found)
        yield Figure("p50, 1 row, a new connection per request", p50["1 row"], "ms", 0.30)
        yield Figure("p50, 100 rows, four components", p50["100 rows"], "ms", 0.45)
        yield Figure("p50, 500 rows, four components", p50["500 rows"], "ms", 1.0)
        yield Figure("requests/s, serial, 1 row", rate["1 row"], "", 3000, at_least=True)
        yield Figure("requests/s, 8 clients, 1 row", rate["1 row, 8"], "", 6000, at_least=True)
        ratio = p50["1 row"] / p50["constant"]
        yield Figure("p50, 1 row, to that of a constant", ratio, "", 1.6)
        print(
            f"  (the constant: p50 {p50['constant']:.3f} ms, {rate['constant']:.0f} requests/s"
            f" serial, {rate['constant, 8']:.0f} with 8 clients)"
        )
        rows = rows_in_one_read(path)
        yield Figure("rows x four components in 4096 bytes", rows, "", 150, at_least=True)
        together(path, 1, 2, 50_000)
        before = resident_mib(pid)
        together(path, 1, 2, 50_000)
        after = resident_mib(pid)
        yield Figure("resident after 100,000 requests", after, "MiB", 60)
        yield Figure("growth over the last 50,000", after - before, "MiB", 0.25)


def _swapped(folder: str, store: Any, versions: list[Any]) -> Iterator[Figure]:
    command, path = estimator(folder, "--refresh-interval", "0.2")
    found = []
    with process(command, path), swapping(store, versions), socket.socket(socket.AF_UNIX) as silent:
        silent.connect(path)
        for _ in range(ROUNDS):
            _, taken = together(path, 100, 8, 10_000)
            found.append(percentile(taken, 99))
    yield Figure("p99, 8 clients, 100 rows, models swapped, one silent", min(found), "ms", 10)


if __name__ == "__main__":
    if sys.argv[1:2] == ["constant"]:
        serve_constant(sys.argv[2])
    else:
        figures = main()
        for figure in figures:
            print(figure)
