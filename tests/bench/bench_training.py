"""A Prometheus answer of 200 MB through the offline trainer: its time and its memory.

``python -m tests.bench.bench_training``. The answer has the series and the labels of a real one
(51 containers, 13 counters each, energy by mode and package), over as many points as make 200 MB.
The memory is that of the process of the run, as the kernel has it at its greatest, with the part of
the file that is mapped; the server's own is measured beside it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

import httpx

from estimator.vocabulary import FEATURE_GROUPS
from tests.kafka.broker import free_ports

MEGABYTES = 200
LIMIT_MIB = 1024.0
CONTAINERS = 51
STEP = 3
FEATURES = sorted(
    {*FEATURE_GROUPS["CounterIRQCombined"], *FEATURE_GROUPS["BPFIRQ"]}
    | {f"cgroupfs_{kind}_us" for kind in ("cpu_usage", "system_cpu_usage", "user_cpu_usage")}
    | {"kubelet_cpu_usage"}
)


def run() -> None:
    """Print what the answer is, how long training took, and the greatest resident memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = folder / "body.json"
        points = write_request(body, MEGABYTES * 10**6)
        size = body.stat().st_size
        series = len(FEATURES) * CONTAINERS + 8
        print(f"  {size / 1e6:.0f} MB: {series} series of {points} points", flush=True)
        with (
            TrainerProcess(folder) as server,
            httpx.Client(base_url=server.url, timeout=None) as client,
        ):
            before = server.peak_mib
            started = time.perf_counter()
            with body.open("rb") as content:
                answer = client.post("/train", content=content, headers={"prefer": "respond-async"})
            answer.raise_for_status()
            sent = time.perf_counter() - started
            job, peak = server.watch(client, answer.headers["location"])
            seconds = time.perf_counter() - started
            assert job["state"] == "done", job
            growth = server.peak_mib - before
            report = job["report"]
            print(
                f"  {report['samples']} samples, {len(report['models'])} models: "
                f"sent in {sent:.1f} s, learned after {seconds:.1f} s\n"
                f"  the run: {peak:.0f} MiB resident at its greatest (limit {LIMIT_MIB:.0f}); "
                f"the server: {before:.0f} MiB before, {growth:.0f} MiB more at its greatest"
            )
            assert peak < LIMIT_MIB, "the run took too much memory"


def write_request(path: Path, size: int) -> int:
    """Write a request of about so many bytes; how many points each series has."""
    # A point takes some 24 bytes; the labels of a series next to nothing.
    points = size // ((len(FEATURES) * CONTAINERS + 8) * 24)
    with path.open("w") as file:
        file.write('{"name":"large","energy_source":"rapl-sysfs","prom_response":{')
        for number, feature in enumerate(FEATURES):
            _write_series(file, f"kepler_container_{feature}_total", _usage(number, points), number)
        for number, component in enumerate(("package", "dram", "core", "uncore")):
            name = f"kepler_node_{component}_joules_total"
            _write_series(file, name, _energy(number, points), 1)
        file.write("}}")
    return points


def _usage(number: int, points: int) -> Iterator[tuple[str, Iterator[str]]]:
    for container in range(CONTAINERS):
        scale = (number + 1) * 37 * (container % 7 + 1)
        labels = _labels(f'"container_id":"{container:064x}","container_name":"c{container}"')
        yield labels, (str(at * scale * 30 + at * at % 1013) for at in range(points))


def _energy(number: int, points: int) -> Iterator[tuple[str, Iterator[str]]]:
    for mode in ("dynamic", "idle"):
        labels = _labels(f'"mode":"{mode}","package":"0","source":"rapl-sysfs"')
        watts = (40 + at * at % 1013 / 50 if mode == "dynamic" else 20 for at in range(points))
        yield labels, (f"{joules:.3f}" for joules in _summed(watts, (number + 1) / 2))


def _summed(watts: Iterator[float], factor: float) -> Iterator[float]:
    total = 0.0
    for one in watts:
        total += one * factor * STEP
        yield total


def _labels(more: str) -> str:
    return (
        '{"container":"kepler-exporter","endpoint":"http","instance":"worker-1",'
        f'"job":"kepler-exporter","namespace":"kepler","pod":"kepler-exporter-1",{more}}}'
    )


def _write_series(
    file: IO[str], name: str, rows: Iterator[tuple[str, Iterator[str]]], place: int
) -> None:
    file.write(("," if place else "") + f'"{name}":[')
    for row, (labels, values) in enumerate(rows):
        file.write(("," if row else "") + f'{{"metric":{labels},"values":[')
        start = 1_700_000_000
        file.write(",".join(f'[{start + STEP * at},"{one}"]' for at, one in enumerate(values)))
        file.write("]}")
    file.write("]")


class TrainerProcess:
    """A trainer in a process of its own, and the memory of it and of its runs."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        command = "import sys; from server.main import run; sys.exit(run(sys.argv[1:]))"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", command, "trainer", "--data", str(folder / "data")),
                *("--train-listen", f"127.0.0.1:{port}"),
            ]
        )

    def __enter__(self) -> Self:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                httpx.get(f"{self.url}/healthz")
                return self
            except httpx.TransportError:
                time.sleep(0.1)
        raise TimeoutError(self.url)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    @property
    def peak_mib(self) -> float:
        """The greatest resident memory of the server so far."""
        return _peak_mib(self._process.pid)

    def watch(self, client: httpx.Client, place: str) -> tuple[dict[str, Any], float]:
        """The job once it is over, and the greatest resident memory of its process."""
        peak, told = 0.0, threading.Event()
        while True:
            for child in _children(self._process.pid):
                peak = max(peak, _peak_mib(child))
            job = client.get(place).json()
            if job["state"] in ("done", "failed"):
                return job, peak
            told.wait(0.1)


def _children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(one) for one in (task / "children").read_text().split()]
    return found


def _peak_mib(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    run()
