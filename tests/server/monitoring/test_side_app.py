from __future__ import annotations

import socket

import httpx
import pytest

from estimator.errors import WattstreamError
from estimator.settings import Settings
from server.monitoring.side_app import make_side_app, shown
from server.monitoring.status import Status
from tests.kafka.broker import free_ports
from tests.server.conftest import AsgiTransport
from tests.server.error_shape import assert_error
from tests.server.fakes import STATUS, FakeProvider


def client_of(provider: FakeProvider) -> httpx.Client:
    return httpx.Client(transport=AsgiTransport(make_side_app(provider)), base_url="http://test")


def test_the_metrics_are_those_of_the_parts_alone() -> None:
    page = client_of(FakeProvider(STATUS)).get("/metrics").text
    assert 'wattstream_learner_records_total{partition="0"} 164.0' in page
    assert 'wattstream_source_up{source="sim"} 1.0' in page
    assert "wattstream_models" not in page
    assert "wattstream_store_up" not in page


def test_ready_unless_a_part_misses_something() -> None:
    provider = FakeProvider(Status())
    client = client_of(provider)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json() == {"status": "ready"}


def test_what_is_waited_for_is_said() -> None:
    provider = FakeProvider(Status(missing=("waiting for the log: no broker",)))
    answer = client_of(provider).get("/readyz")
    assert_error(answer, 503, "not ready: waiting for the log: no broker")
    assert answer.json()["missing"] == ["waiting for the log: no broker"]


def test_there_is_nothing_else() -> None:
    assert client_of(FakeProvider()).get("/models").status_code == 404


def test_it_is_shown_at_the_port_that_the_settings_name() -> None:
    port = free_ports(1)[0]
    with shown(Settings(metrics_port=port), FakeProvider()):
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        assert answer.status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
    with shown(Settings(metrics_port=0), FakeProvider()):
        pass


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            pytest.raises(WattstreamError, match=str(port)),
            shown(Settings(metrics_port=port), FakeProvider()),
        ):
            raise AssertionError("two servers at one port")
