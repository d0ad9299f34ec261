"""``wattstream estimate`` as a process: models over HTTP, without the server, its own numbers."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.errors import WattstreamError
from estimator.kepler_socket.client import ask
from estimator.kepler_socket.socket_path import Access
from estimator.settings import Settings
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from server.app import make_app
from server.commands.estimate import lone_estimator
from server.web.http_server import HttpServer
from tests.estimator.served import plain_entry, power_request
from tests.kafka.broker import free_ports
from tests.server.commands.processes import (
    Command,
    eventually,
    figures,
    short_folder,
)


@pytest.fixture
def models() -> ModelStore:
    """A model of 26 W at 1,024 ms of processor time per second."""
    models = ModelStore(InMemoryStore())
    publish(models, 10.0)
    return models


def publish(models: ModelStore, idle_watts: float) -> None:
    entry = plain_entry(idle_watts=idle_watts)
    models.publish(Artifact(entry.manifest, entry.model))


@pytest.fixture
def server(models: ModelStore) -> Iterator[HttpServer]:
    app = make_app(Catalog(models), models, refresh_seconds=0.01)
    with HttpServer(app, "127.0.0.1", 0) as server:
        yield server


def package(path: Path) -> float | None:
    """What the socket says of 1,024 ms per second, None as long as it says nothing good."""
    try:
        answer: dict[str, Any] = ask(path, power_request([[1024.0]]))
    except WattstreamError:
        return None
    return None if answer["msg"] else float(answer["powers"]["package"][0])


@pytest.mark.slow
def test_models_come_from_the_server_and_last_without_it(
    models: ModelStore, server: HttpServer
) -> None:
    port = free_ports(1)[0]
    with short_folder() as folder:
        path = folder / "e.sock"
        words = ["estimate", "--models", server.url, "--socket", path, "--metrics-port", port]
        with Command(folder, words) as first:
            assert eventually(lambda: package(path)) == 26
            publish(models, 20.0)

            def is_new() -> bool:
                # The server's catalog is refreshed often, the estimator when it is told to.
                first.process.send_signal(signal.SIGHUP)
                return package(path) == 36

            eventually(is_new)
            found = figures(f"http://127.0.0.1:{port}")
            assert found["wattstream_estimator_models"] == 1
            assert found["wattstream_estimator_requests_total"] > 1
            assert first.stop(signal.SIGTERM) == 0
        assert not path.exists()
        words[2] = "http://127.0.0.1:1"
        with Command(folder, words) as second:
            assert eventually(lambda: package(path)) == 36
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: figures(url)["wattstream_estimator_refresh_failures_total"] >= 1)
            assert second.stop(signal.SIGTERM) == 0
        assert second.said.count("Connection refused") == 1


@pytest.mark.slow
def test_power_is_exported_and_joules_survive_a_restart(
    models: ModelStore, server: HttpServer
) -> None:
    port, last = free_ports(1)[0], 0.0
    with short_folder() as folder:
        words = ["estimate", "--models", server.url, "--socket", folder / "e.sock"]
        words += ["--data", folder, "--export", f"127.0.0.1:{port}", "--interval", 0.2]
        words += ["--export-kepler", "none"]
        for _ in range(2):
            with Command(folder, words) as estimator:

                def joules(above: float = last) -> float | None:
                    with contextlib.suppress(httpx.TransportError):
                        found = figures(f"http://127.0.0.1:{port}")
                        if found.get("wattstream_export_estimates_total", 0.0) >= 2:
                            now = found["kepler_node_cpu_joules_total"]
                            return now if now > above else None
                    return None

                last = eventually(joules)
                found = figures(f"http://127.0.0.1:{port}")
                assert found["kepler_process_cpu_joules_total"] > 0
                assert estimator.stop(signal.SIGTERM) == 0
        assert (folder / "export" / "joules.json").is_file()


def test_a_port_of_the_export_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        estimator = lone_estimator(
            Settings(
                data=str(tmp_path),
                socket=(str(tmp_path / "e.sock"),),
                export=f"127.0.0.1:{port}",
            )
        )
        with pytest.raises(WattstreamError, match=f"export {port}: cannot listen there"):
            estimator.bind()
    assert not (tmp_path / "e.sock").exists()


def test_settings_reach_the_estimator(tmp_path: Path) -> None:
    settings = Settings(
        data=str(tmp_path),
        socket=(str(tmp_path / "e.sock"),),
        socket_mode="0600",
        socket_group="0",
        models="http://127.0.0.1:1",
        models_interval=7.0,
        metrics_port=1234,
    )
    estimator = lone_estimator(settings)
    assert estimator._access == Access(0o600, -1, 0)
    assert estimator._metrics_port == 1234
    assert estimator._refresher._interval == 7.0
    assert (tmp_path / "estimator").is_dir()


def test_a_folder_that_cannot_be_written_costs_the_memory_of_models_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "estimator").write_text("in the way")
    lone_estimator(Settings(data=str(tmp_path), models="http://127.0.0.1:1"))
    assert "models are not kept for the next start" in caplog.text
