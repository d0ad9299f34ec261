"""What a server does wrong ends in bounded time and memory, and nobody else is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from estimator.errors import DamagedError, SourceUnavailableError
from estimator.storage.http_get import Bounds, get

BOUNDS = Bounds(most_bytes=1000, piece_seconds=30.0, seconds=60.0)


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """A server that says this to everyone, and then neither goes on nor hangs up."""
    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connections = []
            while not over.is_set():
                connections.append(listening.accept()[0])
                connections[-1].sendall(answer)
            for connection in connections:
                connection.close()

        thread = Thread(target=serve)
        thread.start()
        host, port = listening.getsockname()
        try:
            yield f"http://{host}:{port}/"
        finally:
            over.set()
            socket.create_connection((host, port)).close()
            thread.join()


def test_status_headers_and_body_are_passed_on() -> None:
    answer = b"HTTP/1.1 418 No\r\nETag: x\r\nContent-Length: 2\r\n\r\nab"
    with saying(answer) as url:
        found = get(url, BOUNDS)
    assert (found.status, found.headers["etag"], found.body) == (418, "x", b"ab")


def test_a_body_that_trickles_in_is_not_waited_for() -> None:
    times = iter((0.0, 61.0))
    with (
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\na") as url,
        pytest.raises(SourceUnavailableError, match=r"/: not read whole within 60 s$"),
    ):
        get(url, BOUNDS, clock=lambda: next(times))


def test_who_says_nothing_is_not_waited_for() -> None:
    with (
        saying(b"") as url,
        pytest.raises(SourceUnavailableError, match=r"/: no answer within 0\.1 s$"),
    ):
        get(url, Bounds(1000, 0.1, 60.0))


@pytest.mark.parametrize("head", [b"Content-Length: 1001", b"Transfer-Encoding: chunked"])
def test_too_much_is_not_read(head: bytes) -> None:
    body = b"3e9\r\n" if b"chunked" in head else b""
    with (
        saying(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (head, body + bytes(1001))) as url,
        pytest.raises(DamagedError, match=r"/: more than 1000 bytes$"),
    ):
        get(url, BOUNDS)


@pytest.mark.parametrize("answer", [b"junk\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200])
def test_what_is_no_http_is_said(answer: bytes) -> None:
    with saying(answer) as url, pytest.raises(SourceUnavailableError, match=f"^{url}: "):
        get(url, BOUNDS)


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1:1/", "http://[/"])
def test_a_redirect_to_what_is_no_http_leads_nowhere(place: str) -> None:
    with saying(f"HTTP/1.1 302 Moved\r\nLocation: {place}\r\n\r\n".encode()) as url:
        try:
            status = get(url, BOUNDS, follow=True).status
        except SourceUnavailableError:
            return
    assert status == 302


def test_unless_asked_to_follow_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with saying(fine) as other:
        moved = f"HTTP/1.1 302 Moved\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n".encode()
        with saying(moved) as url:
            assert get(url, BOUNDS).status == 302
            assert get(url, BOUNDS, follow=True).status == 200
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
            monkeypatch.delenv("no_proxy", raising=False)
            assert get(url, BOUNDS).status == 302


@pytest.mark.parametrize("url", ["http://a b/", "http:///", "http://a:99999/", "gopher://a/"])
def test_what_is_no_url_cannot_be_had(url: str) -> None:
    with pytest.raises(SourceUnavailableError, match=r"^(http|gopher)"):
        get(url, BOUNDS)
