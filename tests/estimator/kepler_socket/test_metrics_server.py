from __future__ import annotations

import errno
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from estimator.errors import WattstreamError
from estimator.kepler_socket.answering import Answerer
from estimator.kepler_socket.client import ask
from estimator.kepler_socket.exporter import CONTENT_TYPE
from estimator.kepler_socket.metrics_server import MOST_HEAD_BYTES, MetricsServer
from estimator.kepler_socket.socket_server import EstimatorServer
from tests.estimator.served import AT_MS, Shelf, plain_entry, power_request

PATIENT = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EstimatorServer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answerer = Answerer(Shelf(plain_entry()), None, lambda: AT_MS / 1000)
    with EstimatorServer(answerer, [tmp_path / "e.sock"], metrics_port=port) as server:
        yield server


def get(
    server: EstimatorServer, path: str = "/metrics", method: str = "GET"
) -> tuple[int, str, str | None]:
    assert server.metrics is not None
    connection = http.client.HTTPConnection("127.0.0.1", server.metrics.port, timeout=PATIENT)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader("Content-Type")
    finally:
        connection.close()


def raw(server: EstimatorServer, head: bytes) -> bytes:
    assert server.metrics is not None
    with socket.create_connection(("127.0.0.1", server.metrics.port), PATIENT) as connection:
        connection.sendall(head)
        data = bytearray()
        while True:
            try:
                piece = connection.recv(4096)
            except ConnectionResetError:
                break
            if not piece:
                break
            data += piece
        return bytes(data)


def test_a_scrape(server: EstimatorServer) -> None:
    assert "wattstream_estimator_requests_total 0\n" in get(server)[1]
    ask(server.paths[0], power_request([[1024.0]]), PATIENT)
    status, text, kind = get(server, "/metrics?name=x")
    assert (status, kind) == (200, CONTENT_TYPE)
    assert "wattstream_estimator_requests_total 1\n" in text
    assert "wattstream_estimator_models 1\n" in text


def test_other_paths_and_methods(server: EstimatorServer) -> None:
    assert get(server, "/")[0] == 404
    assert get(server, method="POST")[0] == 405
    assert get(server, method="HEAD")[:2] == (200, "")


@pytest.mark.parametrize("head", [b"x" * (2 * MOST_HEAD_BYTES), b"\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_no_scrape_harms_nobody(server: EstimatorServer, head: bytes) -> None:
    answer = raw(server, head)
    assert not answer or b" 404 " in answer
    assert get(server)[0] == 200
    assert json.dumps(ask(server.paths[0], power_request([[1024.0]]), PATIENT)["powers"])


def test_a_port_that_is_taken_is_one_line_and_frees_the_socket(tmp_path: Path) -> None:
    taken = MetricsServer(lambda: "", 0)
    path = tmp_path / "e.sock"
    other = EstimatorServer(Answerer(Shelf()), [path], metrics_port=taken.port)
    with pytest.raises(WattstreamError, match=rf"^metrics_port {taken.port}: [^\n]*$"):
        other.bind()
    assert not path.exists()
    taken.close()


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.create_server

    def create(address: tuple[str, int], **how: Any) -> socket.socket:
        if how["family"] == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(address, **how)

    monkeypatch.setattr(socket, "create_server", create)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    server = MetricsServer(lambda: "", 0)
    with socket.create_connection(("127.0.0.1", server.port), PATIENT):
        server.close()
