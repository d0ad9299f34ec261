"""A made-up host with three guests, as Kepler 0.10 and later shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec

from estimator.choosing.choice import Entry
from estimator.export.estimating import NodeEstimator
from estimator.export.exposition import labelled, read_page
from estimator.export.ledger_file import LedgerFile
from estimator.export.power_export import Policy, PowerExport
from estimator.export.reading import Reader
from estimator.export.scrape import KeplerScrape
from estimator.system.discovery import discover_machine
from estimator.system.machine_watch import MachineWatch
from tests.estimator.served import AT_MS, MACHINE, Shelf, plain_entry

GUESTS = ("guest-a", "guest-b", "guest-c")
FAKE_PATH = "/sys/class/powercap/intel-rapl/energy_package"
REAL_PATH = "/sys/class/powercap/intel-rapl:0"


@dataclass
class Host:
    """Processor seconds by process; the page says what Kepler would."""

    node: str = "n1"
    paths: Mapping[str, str] = field(default_factory=dict)
    joules: float = 1000.0
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("101", "102", "103", "201", "202", "301"), 5.0)
    )

    def work(self, seconds: float, **busy: float) -> None:
        """Let time pass; each process had so many processors (p101=0.5)."""
        for name, share in busy.items():
            self.seconds[name[1:]] += share * seconds

    def labels(self, pid: str) -> dict[str, str]:
        kind = {"1": "vm", "2": "container", "3": "regular"}[pid[0]]
        return {
            "comm": "qemu" if kind == "vm" else "work",
            "container_id": f"c{pid}" if kind == "container" else "",
            "exe": "/bin/work",
            "node_name": self.node,
            "pid": pid,
            "type": kind,
            "vm_id": GUESTS[int(pid) - 101] if kind == "vm" else "",
        }

    def page(self) -> str:
        return "".join(
            f"# HELP {name} Kepler's words.\n# TYPE {name} {kind}\n"
            + "".join(f"{name}{{{labelled(labels)}}} {value}\n" for labels, value in samples)
            for name, kind, samples in self._families()
            if samples
        )

    def _families(self) -> Iterator[tuple[str, str, list[tuple[dict[str, str], float]]]]:
        node = {"node_name": self.node}
        zones = [
            ({**node, "path": path, "zone": zone}, self.joules) for zone, path in self.paths.items()
        ]
        yield "kepler_node_cpu_joules_total", "counter", zones
        yield "kepler_node_cpu_watts", "gauge", [(labels, 40.0) for labels, _ in zones]
        yield "kepler_node_cpu_usage_ratio", "gauge", [(node, 0.25)]
        yield (
            "kepler_process_cpu_seconds_total",
            "counter",
            [(self.labels(pid), seconds) for pid, seconds in self.seconds.items()],
        )
        yield (
            "kepler_container_cpu_seconds_total",
            "counter",
            [
                (
                    {
                        "container_id": f"c{pid}",
                        "container_name": f"name-{pid}",
                        **node,
                        "pod_id": "pod-1",
                        "runtime": "containerd",
                        "state": "running",
                    },
                    seconds,
                )
                for pid, seconds in self.seconds.items()
                if pid.startswith("2")
            ],
        )
        yield (
            "kepler_pod_cpu_joules_total",
            "counter",
            self._named({"pod_id": "pod-1", "pod_name": "web", "pod_namespace": "shop"}),
        )
        yield (
            "kepler_vm_cpu_joules_total",
            "counter",
            [
                one
                for guest in GUESTS
                for one in self._named(
                    {"vm_id": guest, "vm_name": f"{guest}-name", "hypervisor": "kvm"}
                )
            ],
        )

    def _named(self, labels: dict[str, str]) -> list[tuple[dict[str, str], float]]:
        both = {**labels, "node_name": self.node, "state": "running"}
        return [({**both, "zone": zone}, 7.0) for zone in self.paths]


class ManualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Answering:
    """Says what it is told to at ``/metrics``."""

    def __init__(self) -> None:
        self.text, self.status, self.kind = "", 200, "text/plain; version=0.0.4"
        self.url = ""


@contextmanager
def answering() -> Iterator[Answering]:
    said = Answering()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = said.text.encode()
            self.send_response(said.status)
            self.send_header("Content-Type", said.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        said.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield said
        finally:
            server.shutdown()
            thread.join()


def scored_entry(mape: float = 5.0, idle_watts: float = 10.0) -> Entry:
    """`plain_entry` with a relative error in percent: package draws 10 W + 1 W per 64 ms/s."""
    entry = plain_entry(idle_watts=idle_watts)
    errors: dict[str, dict[str, dict[str, float | None]]] = {
        component: {"0": {"count": 9.0, "mae": 1.5, "mape": mape}}
        for component in entry.manifest.components
    }
    manifest = msgspec.structs.replace(entry.manifest, errors=errors)
    return msgspec.structs.replace(entry, manifest=manifest)


class Rig:
    """An export of a made-up machine, by a clock that is moved by hand."""

    def __init__(
        self,
        folder: Path,
        url: str | None,
        *entries: Entry,
        proc: Path | None = None,
        policy: Policy | None = None,
        certain: bool = True,
        interval: float = 5.0,
    ) -> None:
        self.clock = ManualClock()
        self.shelf = Shelf(*entries)
        self.proc = proc or folder / "proc"
        self.estimator = NodeEstimator(self.shelf, MACHINE, clock=lambda: AT_MS / 1000)
        kepler = None if url is None else KeplerScrape(url)
        self.reader = Reader(
            kepler, self.proc, folder / "sys", certain=certain and url is not None, clock=self.clock
        )
        self.export = PowerExport(
            self.reader,
            self.estimator,
            MachineWatch(MACHINE, lambda: discover_machine(self.proc, folder / "sys"), self.clock),
            LedgerFile(folder / "joules.json", "boot"),
            policy or Policy("", "host"),
            interval,
            proc=self.proc,
            sysfs=folder / "sys",
            clock=self.clock,
        )

    def tick(self, seconds: float = 5.0) -> str:
        self.clock.now += seconds
        self.export.tick()
        return self.export.page()


def values(text: str, name: str, **labels: str) -> list[float]:
    """The values of the page's series with these labels."""
    wanted = labels.items()
    return [one.value for one in read_page(text).samples(name) if wanted <= one.labels.items()]


def total(text: str, name: str, **labels: str) -> float:
    return sum(values(text, name, **labels))
