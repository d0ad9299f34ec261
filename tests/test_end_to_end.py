"""The whole, as users meet it: real processes, real sockets, on one machine."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from estimator.errors import WattstreamError
from estimator.kepler_socket.client import ask
from estimator.settings import Settings
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.assembly import joined, log_of, make_worker, store_of
from server.monitoring.live import Live
from stream.records import DEAD_TOPIC, USAGE_TOPIC
from tests.estimator.artifacts.made import made_artifact
from tests.kafka.broker import free_ports
from tests.server.commands.inside import Run, runner
from tests.server.commands.processes import (
    Command,
    answers,
    eventually,
    figures,
    short_folder,
)

pytestmark = pytest.mark.slow

TWO_METRICS = ["bpf_cpu_time_ms", "bpf_page_cache_hit"]
MODEL_REQUEST = {
    "metrics": TWO_METRICS,
    "output_type": "AbsPower",
    "source": "intel_rapl",
    "weight": True,
    "trainer_name": "SGDRegressorTrainer",
    "filter": "",
    "node_type": 0,
}
KEPLERS_METRICS = [
    "cpu_cycles",
    "cpu_instructions",
    "cache_miss",
    "cpu_ref_cycles",
    "bpf_cpu_time_ms",
    "bpf_net_tx_irq",
    "bpf_net_rx_irq",
    "bpf_block_irq",
    "bpf_page_cache_hit",
]
BUSY = [2e9, 3e9, 1e7, 2e9, 2000.0, 100.0, 100.0, 50.0, 3000.0]
COMPONENTS = {"rapl-sysfs": {"package", "core", "uncore", "dram"}, "acpi": {"platform"}}
OFTEN = ("--interval", "0.5")
SOON = ("--commit-interval", "1")


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def wattstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


def _power_request(rows: Sequence[Sequence[float]], output_type: str, source: str) -> Any:
    """As Kepler sends it, in its order."""
    return {
        "metrics": KEPLERS_METRICS,
        "values": rows,
        "output_type": output_type,
        "source": source,
        "system_features": ["cpu_architecture"],
        "system_values": ["unknown"],
        "trainer_name": "",
        "filter": "",
    }


def _assert_kepler_can_use(path: Path) -> None:
    """Every request that Kepler sends gets a list of each component with a number per row."""
    zeros = [0.0] * len(KEPLERS_METRICS)
    for rows in ([zeros], [BUSY], [BUSY, zeros, BUSY, [2 * value for value in BUSY]]):
        for output_type in ("AbsPower", "DynPower"):
            for source, components in COMPONENTS.items():
                answer = ask(path, _power_request(rows, output_type, source))
                assert answer["msg"] == ""
                assert 0 < answer["core_ratio"] <= 1
                assert set(answer["powers"]) >= components
                for watts in answer["powers"].values():
                    assert len(watts) == len(rows)
                    assert all(0 <= one < 10_000 for one in watts)


def _is_answered(path: Path, source: str = "rapl-sysfs") -> bool:
    """Whether the socket answers by a model."""
    try:
        answer = ask(path, _power_request([BUSY], "AbsPower", source))
    except WattstreamError:
        return False
    return not answer["msg"]


def _up(folder: Path, port: int, path: Path, *more: object) -> Command:
    listen = f"127.0.0.1:{port}"
    words = ["up", "--source", "sim", "--data", folder / "data", "--listen", listen]
    words += ["--socket", path, "--refresh-interval", "0.5", *OFTEN, *SOON, *more]
    return Command(folder, words)


class Learned:
    """What a data folder's checkpoints and models say, its learner being stopped."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data=str(folder / "data"))
        with log_of(settings) as log, joined(settings, log) as membership:
            store = store_of(settings)
            worker = make_worker(settings, log, store, threading.Event(), membership, Live())
            assert worker.follow()
            shards = worker.shards.values()
            self.positions = {
                (topic, number): position
                for number, shard in worker.shards.items()
                for topic, position in dict(shard.positions).items()
            }
            self.usage = sum(shard.counts["usage_records"] for shard in shards)
            self.records = self.usage + sum(shard.counts["power_records"] for shard in shards)
            self.samples = sum(shard.learner.counts["samples"] for shard in shards)
            self.duplicates = sum(shard.join.counts["duplicate"] for shard in shards)
            self.ends = sum(log.end_offsets(USAGE_TOPIC).values())
            self.dead = sum(log.end_offsets(DEAD_TOPIC).values())
        indexes = ModelStore(open_store(settings.store_url)).indexes()
        self.models = {slug: one.versions[-1].samples for slug, one in indexes.items()}

    def assert_sound(self) -> None:
        """Every record has been learned once, and none has been set aside."""
        assert self.records == sum(self.positions.values())
        assert self.usage <= self.ends
        # Two meters, so two samples of an interval at most.
        assert self.samples <= 2 * self.usage
        assert self.duplicates == 0
        assert self.dead == 0

    def assert_goes_on_from(self, before: Learned) -> None:
        """Nothing has been begun anew."""
        assert all(self.positions[where] >= before.positions[where] for where in self.positions)
        assert sum(self.positions.values()) > sum(before.positions.values())
        assert self.samples > before.samples
        assert set(self.models) >= set(before.models)
        assert all(self.models[slug] >= before.models[slug] for slug in before.models)
        assert sum(self.models.values()) > sum(before.models.values())


def test_up_answers_stops_and_goes_on(tmp_path: Path, short: Path) -> None:
    port, path = free_ports(1)[0], short / "s"
    url = f"http://127.0.0.1:{port}"
    with _up(tmp_path, port, path) as command:
        eventually(lambda: answers(f"{url}/readyz"))
        _assert_weights(url)
        eventually(lambda: _is_answered(path) and _is_answered(path, "acpi"))
        _assert_kepler_can_use(path)
        _assert_pages(url)
        assert command.stop() == 0
        assert not path.exists()
        assert "Traceback" not in command.said
    before = Learned(tmp_path)
    before.assert_sound()

    with _up(tmp_path, port, path) as command:
        # The models are there at once; what has been learned is never less than before.
        eventually(lambda: answers(f"{url}/readyz"))
        assert _samples(url) >= before.samples
        eventually(lambda: _samples(url) >= before.samples + 4)
        assert command.stop() == 0
    after = Learned(tmp_path)
    after.assert_sound()
    after.assert_goes_on_from(before)


def _assert_weights(url: str) -> None:
    answer = eventually(lambda: _answer(url))
    assert answer.pop("model_name").startswith("SGDRegressorTrainer_")
    spec = answer.pop("machine_spec")
    numbers = ("cores", "chips", "memory", "frequency", "threads_per_core")
    assert all(type(spec[name]) is int and spec[name] > 0 for name in numbers)
    assert set(answer) == COMPONENTS["rapl-sysfs"]
    for weights in answer.values():
        assert list(weights) == ["All_Weights"]
        all_weights = weights["All_Weights"]
        assert isinstance(all_weights["Bias_Weight"], float)
        assert all_weights["Categorical_Variables"] == {}
        numerical = all_weights["Numerical_Variables"]
        assert numerical
        assert set(numerical) <= set(TWO_METRICS)
        assert all(set(one) == {"scale", "weight"} for one in numerical.values())


def _answer(url: str) -> dict[str, Any] | None:
    """The answer to Kepler's request for weights, once there is a model for it."""
    found = httpx.post(f"{url}/model", json=MODEL_REQUEST, trust_env=False, timeout=5)
    if found.status_code != 200:
        return None
    answer: dict[str, Any] = found.json()
    return answer


def _models(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/models", trust_env=False).json()
    return found


def _assert_pages(url: str) -> None:
    page = httpx.get(f"{url}/", trust_env=False)
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    sources = {one["key"]["source"] for one in _models(url)}
    assert sources >= {"rapl-sysfs"}
    best = httpx.get(f"{url}/best-models", trust_env=False).json()
    assert best["AbsPower"]
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    # More may be published in between.
    eventually(lambda: figures(url)["wattstream_models"] == len(_models(url)))
    seen = figures(url)
    assert seen["wattstream_source_up"] == 1
    assert seen["wattstream_learner_samples_total"] > 0


def _samples(url: str) -> float:
    """How many the learner says it has learned: for a moment after its start it says nothing."""
    name = "wattstream_learner_samples_total"
    shown = eventually(lambda: found if name in (found := figures(url)) else None)
    return shown[name]


def test_killed_in_the_middle_it_goes_on_by_itself(tmp_path: Path, short: Path) -> None:
    port, path = free_ports(1)[0], short / "s"
    url = f"http://127.0.0.1:{port}"
    with _up(tmp_path, port, path) as command:
        eventually(lambda: answers(f"{url}/readyz"))
        assert command.stop(signal.SIGKILL) == -signal.SIGKILL
    assert path.exists()  # nobody was there to remove it
    before = Learned(tmp_path)
    before.assert_sound()
    assert before.samples > 0

    with _up(tmp_path, port, path) as command:
        eventually(lambda: answers(f"{url}/readyz"))
        eventually(lambda: _is_answered(path))
        eventually(lambda: _samples(url) >= before.samples + 4)
        assert command.stop(signal.SIGTERM) == 0
    assert not path.exists()
    after = Learned(tmp_path)
    after.assert_sound()
    after.assert_goes_on_from(before)


def test_four_processes_share_a_data_folder(tmp_path: Path, short: Path, wattstream: Run) -> None:
    port, paths = free_ports(1)[0], (short / "one", short / "two")
    data = ("--data", tmp_path / "data")
    looks = ("--refresh-interval", "0.5")
    with ExitStack() as running:
        commands = [
            running.enter_context(Command(tmp_path, words))
            for words in (
                ["estimate", *data, *looks, "--socket", paths[0], "--socket", paths[1]],
                ["serve", *data, *looks, "--listen", f"127.0.0.1:{port}"],
                ["collect", *data, *OFTEN, "--source", "sim:2"],
                ["learn", *data, *SOON],
            )
        ]
        learner = commands[-1]
        eventually(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        eventually(lambda: all(_is_answered(path) for path in paths))
        assert all(command.is_running for command in commands)
        refused = wattstream("learn", *data)
        assert refused.status == 1
        assert f"has a learner already (process {learner.process.pid})" in refused.complaint
        asked = wattstream("ask", "--json", *_words(BUSY), "--socket", paths[1])
        assert asked.status == 0
        assert json.loads(asked.out)["msg"] == ""
        assert [command.stop(signal.SIGTERM) for command in commands] == [0, 0, 0, 0]
        assert not any(path.exists() for path in paths)
    Learned(tmp_path).assert_sound()


def _words(rates: Sequence[float]) -> list[str]:
    return [f"{name}={rate}" for name, rate in zip(KEPLERS_METRICS, rates, strict=True)]


@pytest.mark.parametrize("name", ["up", "serve"])
def test_a_port_that_is_taken_is_one_line(
    tmp_path: Path, short: Path, wattstream: Run, name: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["--listen", f"127.0.0.1:{port}", "--log-level", "error"]
        if name == "up":
            words += ["--source", "sim", "--socket", str(short / "s")]
        found = wattstream(name, *words)
    assert found.status == 1
    assert f"port {port} on 127.0.0.1 is in use" in found.complaint
    assert not (short / "s").exists()


@pytest.mark.parametrize("name", ["up", "estimate"])
def test_a_socket_path_in_use_is_one_line(short: Path, wattstream: Run, name: str) -> None:
    path = short / "s"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        found = wattstream(name, "--socket", path)
        assert found.status == 1
        assert f"socket path is in use: {path}" in found.complaint
    assert path.exists()


@pytest.mark.parametrize("name", ["up", "collect", "learn", "serve", "estimate", "topics"])
def test_a_folder_that_cannot_be_used_is_one_line(
    tmp_path: Path, short: Path, wattstream: Run, name: str
) -> None:
    (tmp_path / "file").touch()
    more = ("--socket", short / "s") if name in ("up", "estimate") else ()
    # Nobody, not even root, can make a folder in /proc.
    for data in (tmp_path / "file", tmp_path / "file/below", Path("/proc/wattstream")):
        found = wattstream(name, "--data", data, *more)
        assert found.status == 1
        assert str(data) in found.complaint


def test_the_estimator_starts_without_models_and_finds_them(tmp_path: Path, short: Path) -> None:
    path, store = short / "s", tmp_path / "store"
    words = ("estimate", "--store", f"file:{store}", "--socket", path, "--refresh-interval", "0.2")
    with Command(tmp_path, words) as command:
        eventually(path.exists)
        request = _power_request([BUSY, BUSY, BUSY], "DynPower", "acpi")
        answer = ask(path, request)
        assert answer["powers"] == {"platform": [0, 0, 0]}
        assert answer["msg"] != ""
        _publish(store)
        eventually(lambda: not ask(path, request)["msg"])
        answer = ask(path, request)
        assert [len(watts) for watts in answer["powers"].values()] == [3]
        assert command.stop(signal.SIGTERM) == 0
    assert not path.exists()


def _publish(store: Path) -> None:
    models = ModelStore(open_store(f"file:{store}"))
    for source, components in (("acpi", ("platform",)), ("rapl-sysfs", ("package", "dram"))):
        models.publish(made_artifact(source=source, components=components))


REPORTING = """
import json, pathlib, sys
from server.main import run
status = run(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(json.dumps(sorted(sys.modules)))
sys.exit(status)
"""


def test_the_estimator_is_small(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)  # which would be measured as well
    path, store, modules = short / "s", tmp_path / "store", tmp_path / "modules.json"
    _publish(store)
    words = ("estimate", "--store", f"file:{store}", "--socket", path)
    with Command(tmp_path, words, ("-c", REPORTING, str(modules))) as command:
        eventually(lambda: path.exists() and _is_answered(path))
        rows = [BUSY] * 20
        for number in range(1000):
            output_type, source = (
                ("AbsPower", "DynPower")[number % 2],
                ("acpi", "rapl")[number % 3 > 0],
            )
            answer = ask(path, _power_request(rows, output_type, source))
            assert {len(watts) for watts in answer["powers"].values()} == {len(rows)}
        assert _resident_mib(command.process.pid) <= 60
        assert command.stop(signal.SIGTERM) == 0
    loaded = {name.partition(".")[0] for name in msgspec.json.decode(modules.read_bytes())}
    assert "numpy" in loaded
    heavy = {"river", "pandas", "sklearn", "scipy", "starlette", "uvicorn", "httpx", "rich"}
    assert not loaded & {*heavy, "stream", "prometheus_client", "sqlite3"}


def _resident_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
