from __future__ import annotations

import socket

import pytest

from server.app import make_app
from server.web.http_server import HttpServer
from server.web.patience import PatientProtocol
from tests.server.fakes import FakeCatalog, FakeModels, make_entry

ASKED = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    monkeypatch.setattr(PatientProtocol, "headers_seconds", 0.2)
    return HttpServer(make_app(FakeCatalog([make_entry()]), FakeModels()), "127.0.0.1", 0)


def _read(client: socket.socket) -> bytes:
    """All until the server hangs up."""
    read = b""
    while chunk := client.recv(4096):
        read += chunk
    return read


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", ASKED[:-2]])
def test_who_sends_no_whole_request_is_hung_up_on(server: HttpServer, sent: bytes) -> None:
    with server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(sent)
        assert _read(client) == b""


def test_a_second_request_has_a_deadline_too(server: HttpServer) -> None:
    with server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(ASKED)
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /heal")
        assert b"HTTP/1.1" not in _read(client)


def test_headers_without_end_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(FakeCatalog([make_entry()]), FakeModels())
    with (
        HttpServer(app, "127.0.0.1", 0) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as client,
    ):
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.sendall(ASKED[:-2] + 10_000 * (b"x: " + b"y" * 8000 + b"\r\n"))
        client.close()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as other:
            other.sendall(ASKED)
            assert other.recv(4096).startswith(b"HTTP/1.1 200")


def test_an_answer_that_takes_longer_is_not_cut_off(server: HttpServer) -> None:
    with server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(ASKED.replace(b"/healthz", b"/live"))
        read = b""
        while read.count(b"event: ") < 3:
            read += client.recv(4096)
        # The stream's next word comes after the deadline for headers, or the connection is closed.
        client.settimeout(0.6)
        with pytest.raises(TimeoutError):
            _read(client)
