from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from estimator.errors import MisuseError, SourceUnavailableError
from estimator.machine import MachineSpec
from stream.records import PowerRecord, UsageRecord, decode_power, decode_usage, encode
from stream.sources.kepler import KeplerSource
from stream.sources.protocol import Record, Source

PAGES = Path(__file__).parent / "pages"
_OF_VM = "worker-1/package"


class Exporter(ThreadingHTTPServer):
    """A server on a loopback port; what it answers can be changed between requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = b""
        self.status = 200
        self.content_type = "text/plain; version=0.0.4"
        self.length: int | None = None
        self.asked: list[tuple[str, str]] = []
        self.answering = threading.Event()
        self.answering.set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def show(self, page: str) -> None:
        self.body = (PAGES / page).read_bytes()


class _Handler(BaseHTTPRequestHandler):
    server: Exporter

    def do_GET(self) -> None:
        exporter = self.server
        exporter.asked.append((self.path, self.headers["Accept"]))
        exporter.answering.wait(10)
        self.send_response(exporter.status)
        self.send_header("Content-Type", exporter.content_type)
        self.send_header("Content-Length", str(exporter.length or len(exporter.body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client may have given up
            self.wfile.write(exporter.body)

    def log_request(self, code: object = None, size: object = None) -> None:
        pass


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with Exporter() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.answering.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def source(exporter: Exporter) -> Iterator[KeplerSource]:
    kepler = KeplerSource(exporter.address, clock=lambda: 1_700_000_000.0)
    yield kepler
    kepler.close()


def scraped(source: Source) -> tuple[UsageRecord, dict[str, PowerRecord]]:
    records: list[Record] | None = source.poll()
    assert records is not None
    usage, *power = records
    assert isinstance(usage, UsageRecord)
    decode_usage(encode(usage))
    by_source = {}
    for record in power:
        assert isinstance(record, PowerRecord)
        by_source[record.source] = decode_power(encode(record))
    assert len(by_source) == len(power)
    return usage, by_source


def recorded(source: Source) -> tuple[UsageRecord, PowerRecord, dict[str, PowerRecord]]:
    """What a recorded page gives: usage, RAPL, and each virtual machine's power by its id."""
    usage, rapl, *guests = source.poll() or []
    assert isinstance(usage, UsageRecord)
    assert isinstance(rapl, PowerRecord)
    by_vm = {record.node: record for record in guests if isinstance(record, PowerRecord)}
    assert (usage.node, rapl.node, rapl.source) == ("worker-1", "worker-1", "rapl-sysfs")
    assert {record.source for record in by_vm.values()} == {"hypervisor"}
    return usage, rapl, by_vm


def joules(record: PowerRecord) -> dict[tuple[str, str], float]:
    assert record.zones is not None
    assert all(zone.wraps_at is None for zone in record.zones)
    return {(zone.component, zone.zone): zone.joules for zone in record.zones}


def test_0_7_12(exporter: Exporter, source: KeplerSource) -> None:
    exporter.show("kepler_0_7_12.txt")
    usage, power = scraped(source)
    assert (usage.node, usage.at, usage.mode) == ("n1", 1_700_000_000_000, "counter")
    assert usage.machine == MachineSpec(processor="sky_lake")
    assert usage.workloads.id == ["beef", "c0ffee", "system_processes"]
    assert usage.workloads.kind == ["container"] * 3
    assert usage.workloads.features == {  # the GPU's use is known of one container only
        "bpf_cpu_time_ms": [5000.0, 771204.0, 120000.0],
        "cpu_cycles": [2.5e11, 1.5e12, 1e10],
    }
    assert power.keys() == {"rapl-sysfs", "acpi"}
    assert joules(power["rapl-sysfs"]) == {
        ("package", "package-0"): 108643.75,
        ("package", "package-1"): 81000.0,
        ("core", "core-0"): 750.25,
    }
    assert joules(power["acpi"]) == {("platform", "platform-energy1"): 230112.5}
    assert exporter.asked[0][0] == "/metrics"


def test_0_9_0_without_idle_energy_and_with_a_platform_made_by_a_model(
    exporter: Exporter, source: KeplerSource
) -> None:
    exporter.show("kepler_0_9_0.txt")
    usage, power = scraped(source)
    assert usage.node == "n2"
    assert usage.workloads.id == ["0", "4711"]
    assert usage.workloads.kind == ["process", "process"]
    assert usage.workloads.features == {
        "bpf_cpu_time_ms": [250.0, 1000.0],
        "cpu_ref_cycles": [3.0, 9.88e11],
    }
    assert power.keys() == {"rapl-sysfs"}
    assert joules(power["rapl-sysfs"]) == {
        ("package", "package-0-dynamic"): 4000.5,
        ("dram", "dram-0-dynamic"): 300.0,
    }


def test_0_11_with_two_sockets_psys_and_redfish(exporter: Exporter, source: KeplerSource) -> None:
    exporter.show("kepler_0_11.txt")
    usage, power = scraped(source)
    assert usage.node == "n1"
    assert usage.machine == MachineSpec(
        vendor="intel", processor="intel_xeon_gold_6130", cores=4, chips=2, threads_per_core=2
    )
    assert usage.workloads.id == ["4711", "812"]
    assert usage.workloads.kind == ["process", "process"]
    assert usage.workloads.features == {"bpf_cpu_time_ms": [311500.0, 20500.0]}
    assert usage.node_features == {"cpu_usage_ratio": 0.2174}
    assert joules(power["rapl-sysfs"]) == {
        ("package", "aggregated-package"): 153210.75,
        ("dram", "aggregated-dram"): 1000.0,
        ("psys", "/sys/class/powercap/intel-rapl:2"): 50000.0,
    }
    assert power["redfish"].watts == {"platform": 200.5}
    assert power.keys() == {"rapl-sysfs", "redfish"}


def test_a_page_recorded_from_kepler_itself(exporter: Exporter, source: KeplerSource) -> None:
    """Later than 0.11.4, on two sockets made up, with a pod, a container and VMs."""
    exporter.show("kepler_recorded_1.txt")
    usage, rapl, guests = recorded(source)
    assert (usage.machine.processor, usage.machine.cores) == ("amd_epyc", 2)
    assert usage.node_features.keys() == {"cpu_usage_ratio"}
    assert len(usage.workloads.id) == 9
    assert list(usage.workloads.features) == ["bpf_cpu_time_ms"]
    assert {zone for _, zone in joules(rapl)} == {
        "aggregated-package",
        "aggregated-core",
        "aggregated-dram",
    }
    ended, goes_on = sorted(guests, key=lambda vm: joules(guests[vm])["package", _OF_VM])
    # The process of the VM that has ended keeps its processor time for a page, not its energy.
    exporter.show("kepler_recorded_2.txt")
    later, _, guests_later = recorded(source)
    assert ended.endswith("0003")
    assert guests_later.keys() == {goes_on}
    before, after = (joules(one[goes_on])["package", _OF_VM] for one in (guests, guests_later))
    assert after > before
    assert later.workloads.id == usage.workloads.id
    first, second = (one.workloads.features["bpf_cpu_time_ms"] for one in (usage, later))
    assert all(b >= a for a, b in zip(first, second, strict=True))
    assert sum(second) > sum(first)


def test_the_release_may_change_between_scrapes(exporter: Exporter, source: KeplerSource) -> None:
    seen = []
    for page in ("kepler_0_7_12.txt", "kepler_0_11.txt", "kepler_0_7_12.txt"):
        exporter.show(page)
        usage, _ = scraped(source)
        seen.append((usage.node, usage.workloads.kind[0], usage.machine.processor))
    old, new = ("n1", "container", "sky_lake"), ("n1", "process", "intel_xeon_gold_6130")
    assert seen == [old, new, old]


def test_openmetrics_reads_the_same(exporter: Exporter, source: KeplerSource) -> None:
    exporter.show("kepler_0_11.txt")
    classic = source.poll()
    exporter.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    lines = exporter.body.decode().splitlines()
    families = [
        line.replace("_total counter", " counter") if line.startswith("#") else line
        for line in lines
    ]
    exporter.body = "\n".join([*families, "# EOF", ""]).encode()
    again = KeplerSource(exporter.address, clock=lambda: 1_700_000_000.0)
    assert again.poll() == classic
    again.close()


def test_a_page_that_was_not_renewed_is_nothing_new_and_after_a_minute_out_of_order(
    exporter: Exporter,
) -> None:
    exporter.show("kepler_0_7_12.txt")
    now = [1_700_000_000.0]
    source = KeplerSource(exporter.address, clock=lambda: now[0])
    scraped(source)
    for seconds in (1.0, 59.0):
        now[0] += seconds
        assert source.poll() == []
    now[0] += 1.0
    with pytest.raises(SourceUnavailableError, match=f"{exporter.address}.* same page for 61 s"):
        source.poll()
    exporter.body = exporter.body.replace(b" 18231.5", b" 18300.5")
    usage, _ = scraped(source)
    assert usage.at == 1_700_000_061_000
    now[0] += 60.0
    assert source.poll() == []
    source.close()


def test_nor_is_one_that_names_no_node(exporter: Exporter, source: KeplerSource) -> None:
    exporter.body = (
        b'kepler_node_cpu_active_joules_total{path="p",zone="package"} 1\n'
        b'kepler_node_cpu_idle_joules_total{path="p",zone="package"} 2\n'
        b'kepler_process_cpu_seconds_total{pid="7"} 3\n'
    )
    usage, _ = scraped(source)
    assert usage.node == "127.0.0.1"
    assert source.poll() == []
    exporter.body = exporter.body.replace(b'pid="7"', b'node_name="n7",pid="7"')
    usage, _ = scraped(source)  # now that it says its name
    assert usage.node == "n7"


def test_a_kepler_without_processes_and_containers_is_said_once(
    exporter: Exporter, source: KeplerSource, caplog: pytest.LogCaptureFixture
) -> None:
    for page in ("kepler_recorded_1.txt", "kepler_recorded_2.txt"):
        exporter.show(page)
        lines = exporter.body.decode().splitlines()
        exporter.body = "\n".join(line for line in lines if "cpu_seconds" not in line).encode()
        records = source.poll()
        assert {type(record) for record in records or []} == {PowerRecord}
        assert caplog.text.count("no usage of processes or containers") == 1
    exporter.show("kepler_recorded_1.txt")
    assert recorded(source)
    assert len(caplog.records) == 1


def test_a_node_and_a_machine_that_are_given_are_kept(exporter: Exporter) -> None:
    exporter.show("kepler_0_11.txt")
    machine = MachineSpec(processor="mine", cores=1)
    source = KeplerSource(f"http://{exporter.address}/metrics", node="me", machine=machine)
    usage, power = scraped(source)
    source.close()
    assert {usage.node, *(record.node for record in power.values())} == {"me"}
    assert usage.machine == machine


def test_a_page_that_names_no_node_has_that_of_the_url(
    exporter: Exporter, source: KeplerSource
) -> None:
    exporter.body = b'kepler_container_bpf_cpu_time_ms_total{container_id="a"} 1\n'
    usage, power = scraped(source)
    assert (usage.node, power) == ("127.0.0.1", {})


def test_the_time_is_the_middle_of_the_request(exporter: Exporter) -> None:
    exporter.show("kepler_0_11.txt")
    now = iter([100.0, *[100.5] * 3, *[101.0] * 100])
    source = KeplerSource(exporter.address, clock=lambda: next(now))
    usage, power = scraped(source)
    source.close()
    assert 100_000 < usage.at <= 100_500
    assert {record.at for record in power.values()} == {usage.at}


def test_values_that_cannot_be_are_set_aside(exporter: Exporter, source: KeplerSource) -> None:
    exporter.show("kepler_0_11.txt")
    exporter.body = exporter.body.replace(b'vm_id=""} 20.5', b'vm_id=""} NaN')
    usage, _ = scraped(source)
    assert usage.workloads.id == ["4711"]
    assert source.skipped == 1


def _as_html(exporter: Exporter) -> None:
    exporter.content_type = "text/html"
    exporter.body = b"<html><body>Kepler: see /metrics</body></html>"


def _as_failing(exporter: Exporter) -> None:
    exporter.status = 503


def _as_node_exporter(exporter: Exporter) -> None:
    exporter.body = b"node_load1 0.5\n"


def _as_garbage(exporter: Exporter) -> None:
    exporter.body = b'kepler_node_info{cpu_architecture="a} x\n'


def _as_empty(exporter: Exporter) -> None:
    exporter.body = b""


def _as_cut_off(exporter: Exporter) -> None:
    exporter.show("kepler_0_11.txt")
    exporter.length = len(exporter.body) + 10


def _as_starting(exporter: Exporter) -> None:
    exporter.body = b'kepler_node_info{cpu_architecture="Broadwell"} 1\n'


def _as_binary(exporter: Exporter) -> None:
    exporter.body = b"\x00\xff\xfe kepler_\x80"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_as_html, "HTML"),
        (_as_failing, "503 Service Unavailable"),
        (_as_node_exporter, "no series of Kepler"),
        (_as_garbage, "no page of metrics"),
        (_as_empty, "an empty page"),
        (_as_cut_off, "peer closed connection"),
        (_as_starting, "neither usage"),
        (_as_binary, "neither usage"),
    ],
)
def test_what_is_no_page_of_kepler_says_what_came(
    exporter: Exporter, source: KeplerSource, spoil: Callable[[Exporter], None], says: str
) -> None:
    spoil(exporter)
    with pytest.raises(SourceUnavailableError, match=says) as caught:
        source.poll()
    message = str(caught.value)
    assert f"http://{exporter.address}/metrics" in message
    assert "\n" not in message


def test_it_comes_back(exporter: Exporter, source: KeplerSource) -> None:
    exporter.status = 500
    with pytest.raises(SourceUnavailableError):
        source.poll()
    exporter.status = 200
    exporter.show("kepler_0_11.txt")
    assert scraped(source)


def test_slow(exporter: Exporter) -> None:
    exporter.answering.clear()
    source = KeplerSource(exporter.address, timeout_seconds=0.05)
    with pytest.raises(SourceUnavailableError, match=f"{exporter.address}.*within 0.05 s"):
        source.poll()
    source.close()


def test_down() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        port = taken.getsockname()[1]
        source = KeplerSource(f"http://user:secret@127.0.0.1:{port}")
        with pytest.raises(SourceUnavailableError, match=f"127.0.0.1:{port}/metrics") as caught:
            source.poll()
        source.close()
    assert "secret" not in str(caught.value)
    assert "secret" not in source.name


@pytest.mark.parametrize("url", ["", "ftp://n1/metrics", "http://", "http://n1:port/"])
def test_what_is_no_url_is_misuse(url: str) -> None:
    with pytest.raises(MisuseError, match="is no URL"):
        KeplerSource(url, clock=time.time)
