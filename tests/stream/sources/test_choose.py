from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from estimator.errors import MisuseError
from estimator.settings import Settings
from stream.records import PowerRecord, UsageRecord
from stream.sources import choose, hwmon, rapl
from stream.sources.choose import OnlyUsage, automatic, make_sources, node_name
from stream.sources.hwmon import HwmonSource
from stream.sources.kepler import KeplerSource
from stream.sources.procfs import ProcSource
from stream.sources.prometheus_json import PrometheusJsonSource
from stream.sources.rapl import RaplSource
from stream.sources.simulated import SimulatedSource
from stream.sources.simulated_host import SimulatedHosts
from stream.sources.trace import TraceSource
from tests.stream.builders import Record, gauge, usage, zones

PAGES = Path(__file__).parent / "pages"
TRACE = "timestamp,bpf_cpu_time_ms,package_power\n1700000000,1,2\n1700000003,3,4\n"
ANSWER = (
    '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":'
    '"kepler_container_bpf_cpu_time_ms_total","container_id":"c","instance":"n1"},'
    '"values":[[1700000000,"1"],[1700000003,"2"]]}]}}'
)


class Machine:
    """A machine's files as far as sources look at them."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.proc = root / "sys", root / "proc"
        self.sysfs.mkdir()
        self.proc.mkdir()
        self.settings = Settings(sysfs=str(self.sysfs), procfs=str(self.proc), node="n7")

    def add_proc(self) -> None:
        (self.proc / "stat").write_text("cpu  100 20 30 4000 5 6 7 8\nctxt 9\nprocs_running 1\n")

    def add_rapl(self) -> Path:
        zone = self.sysfs / "class/powercap/intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0\n")
        (zone / "energy_uj").write_text("5000000\n")
        return zone / "energy_uj"

    def add_acpi(self) -> None:
        chip = self.sysfs / "class/hwmon/hwmon0"
        chip.mkdir(parents=True)
        (chip / "name").write_text("power_meter\n")
        (chip / "power1_average").write_text("215000000\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = (PAGES / "kepler_0_7_12.txt").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = None, size: object = None) -> None:
        pass


@pytest.fixture
def kepler() -> Iterator[int]:
    """The port of a Kepler exporter."""
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def closed() -> int:
    """A port where nobody listens."""
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        return server.server_address[1]


def _refuse(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may read the file, not even root."""
    file.chmod(0)
    if os.access(file, os.R_OK):
        read_text = Path.read_text

        def refuse(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
            if self == file:
                raise PermissionError(13, "Permission denied", str(self))
            return read_text(self, encoding, errors)

        monkeypatch.setattr(Path, "read_text", refuse)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_meters_are_read_with_the_kernels_usage(
    machine: Machine, closed: int, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add_proc()
    machine.add_rapl()
    with caplog.at_level(logging.INFO):
        assert automatic(machine.settings, [closed]) == ["proc", "rapl"]
    assert "reading what this machine has: proc, rapl" in caplog.text
    machine.add_acpi()
    assert automatic(machine.settings, []) == ["proc", "rapl", "acpi"]
    assert _warnings(caplog) == []


def test_kepler_is_asked_for_usage_where_it_answers(
    machine: Machine, closed: int, kepler: int
) -> None:
    machine.add_proc()
    machine.add_rapl()
    words = automatic(machine.settings, [closed, kepler])
    assert words == [f"kepler:http://127.0.0.1:{kepler}/metrics", "rapl"]
    usage, meter = make_sources(words, machine.settings)
    assert isinstance(usage, OnlyUsage)
    assert isinstance(meter, RaplSource)
    records = usage.poll()
    usage.close()
    # The page has joules as well; those of one meter come from one side only.
    assert records is not None
    assert [type(record) for record in records] == [UsageRecord]
    assert records[0].node == "n7"


def test_kepler_alone_gives_its_power_too(machine: Machine, kepler: int) -> None:
    (source,) = make_sources([f"http://127.0.0.1:{kepler}"], machine.settings)
    records = source.poll()
    source.close()
    assert records is not None
    assert len(records) > 1


def test_rapl_that_may_not_be_read_is_explained_and_the_other_meter_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add_proc()
    machine.add_acpi()
    file = machine.add_rapl()
    _refuse(file, monkeypatch)
    assert automatic(machine.settings, []) == ["proc", "acpi"]
    (said,) = _warnings(caplog)
    assert str(file) in said
    assert "run as root" in said


def test_rapl_that_may_not_be_read_and_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add_proc()
    file = machine.add_rapl()
    _refuse(file, monkeypatch)
    assert automatic(machine.settings, []) == ["sim"]
    refused, simulated = _warnings(caplog)
    assert str(file) in refused
    assert "simulated node" in simulated


def test_no_meter_at_all(machine: Machine, closed: int, caplog: pytest.LogCaptureFixture) -> None:
    machine.add_proc()
    assert automatic(machine.settings, [closed]) == ["sim"]
    (said,) = _warnings(caplog)
    assert "no power meter can be read here" in said
    assert "simulated node" in said


def test_no_meter_but_a_kepler_that_has_one(
    machine: Machine, kepler: int, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add_proc()
    words = automatic(machine.settings, [kepler])
    assert words == [f"kepler:http://127.0.0.1:{kepler}/metrics"]
    assert _warnings(caplog) == []


def test_meters_and_nobody_who_tells_the_usage(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.add_rapl()
    assert automatic(machine.settings, []) == ["sim"]
    (said,) = _warnings(caplog)
    assert str(machine.proc) in said
    assert "simulated node" in said


def test_the_ports_are_those_that_kepler_listens_at() -> None:
    assert choose._KEPLER_PORTS == (8888, 9102, 28282)


def test_every_spelling_makes_its_source(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE)
    (tmp_path / "p.json").write_text(ANSWER)
    machine.add_proc()
    expected = {
        "sim": SimulatedSource,
        "sim:1": SimulatedSource,
        "sim-host": SimulatedHosts,
        "sim-host:2": SimulatedHosts,
        "guest": ProcSource,
        "proc": ProcSource,
        "rapl": RaplSource,
        "acpi": HwmonSource,
        f"trace:{tmp_path}/t.csv": TraceSource,
        f"{tmp_path}/t.csv": TraceSource,
        f"prometheus:{tmp_path}/p.json": PrometheusJsonSource,
        f"{tmp_path}/p.json": PrometheusJsonSource,
    }
    for word, kind in expected.items():
        (source,) = make_sources([word], machine.settings)
        assert type(source) is kind, word
        source.close()
    for word in ("kepler:n1:9102", "http://n1:9102", "https://n1/metrics"):
        (source,) = make_sources([word], machine.settings)
        assert type(source) is KeplerSource
        assert "n1" in source.name
        source.close()
    (source,) = make_sources(["kepler:n1:9102"], machine.settings)
    assert source.name == "kepler http://n1:9102/metrics"
    source.close()


def test_every_spelling_that_is_told_of_is_known(machine: Machine) -> None:
    with pytest.raises(MisuseError) as caught:
        make_sources(["sun"], machine.settings)
    for spelling in choose.SPELLINGS:
        assert spelling in str(caught.value)


def test_a_fleet_is_a_source_per_node_or_one_for_all(machine: Machine) -> None:
    sources = make_sources(["sim:3"], machine.settings)
    nodes = {record.node for source in sources for record in source.poll() or []}
    assert len(nodes) == 3


def test_several_words_are_several_sources_in_their_order(machine: Machine) -> None:
    machine.add_proc()
    sources = make_sources(["acpi", "proc", "rapl"], machine.settings)
    assert [type(source) for source in sources] == [HwmonSource, ProcSource, RaplSource]
    assert all(source.interval_seconds == machine.settings.interval for source in sources)
    assert make_sources([], machine.settings) == []


@pytest.mark.parametrize(
    "word",
    [
        "",
        ":",
        "sun",
        "SIM",
        "sim:0",
        "sim-host:0",
        "sim-host:a few",
        "guest:7",
        "sim:-1",
        "sim:many",
        "proc:x",
        "rapl:0",
        "acpi:0",
        "kepler",
        "kepler:",
        "kepler:ftp://here",
        "http://",
        "trace",
        "trace:",
        "prometheus:",
        "nowhere.csv",
        "nowhere.json",
        "notes.txt",
    ],
)
def test_a_word_that_names_no_source_is_misuse(
    machine: Machine, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MisuseError) as caught:
        make_sources([word], machine.settings)
    assert "\n" not in str(caught.value)
    rest = word.partition(":")[2].strip("/")
    assert (rest or word.rstrip("/")) in str(caught.value)


def test_a_guest_is_called_by_its_vm_id_unless_it_is_named(machine: Machine) -> None:
    machine.add_proc()
    folder = machine.sysfs / "class/dmi/id"
    folder.mkdir(parents=True)
    nameless = Settings(sysfs=str(machine.sysfs), procfs=str(machine.proc))
    with pytest.raises(MisuseError, match=r"source 'guest': .*product_uuid .*--node must say"):
        make_sources(["guest"], nameless)
    (folder / "product_uuid").write_text("4C4C4544-0042-3510-8053-B2C04F4D3533\n")
    for settings, name in (
        (nameless, "4c4c4544-0042-3510-8053-b2c04f4d3533"),
        (machine.settings, "n7"),
    ):
        (source,) = make_sources(["guest"], settings)
        (record,) = source.poll() or []
        assert record.node == name
        assert isinstance(record, UsageRecord)


class _Host:
    """A source that says what a host's Kepler does."""

    name, interval_seconds = "kepler", 3.0

    def poll(self) -> list[Record] | None:
        return [
            usage(1, node="host", x=1),
            gauge(1, node="host", source="redfish", platform=1),
            zones(1, {"package": 1}, node="host"),
            zones(1, {"package": 1}, node="vm", source="hypervisor"),
        ]

    def close(self) -> None:
        pass


def test_beside_meters_a_host_still_says_what_its_guests_draw() -> None:
    assert [(one.node, type(one)) for one in OnlyUsage(_Host()).poll() or []] == [
        ("host", UsageRecord),
        ("vm", PowerRecord),
    ]


def test_the_node_is_the_setting_or_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    assert node_name(Settings(node="n7")) == "n7"
    assert node_name(Settings()) == "host"


def test_records_of_files_are_of_the_node_that_was_named(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE)
    (source,) = make_sources([f"{tmp_path}/t.csv"], machine.settings)
    assert {record.node for record in source.poll() or []} == {"n7"}
    (source,) = make_sources([f"{tmp_path}/t.csv"], Settings())
    assert {record.node for record in source.poll() or []} == {"trace"}


def test_fake_trees_are_what_the_sources_read(machine: Machine) -> None:
    machine.add_rapl()
    machine.add_acpi()
    assert rapl.found(machine.sysfs)
    assert hwmon.found(machine.sysfs)
