from __future__ import annotations

import logging
import signal
import socket
import threading
import time

import httpx
import pytest

from estimator.errors import MisuseError, WattstreamError
from server.app import make_app
from server.web.http_server import HttpServer, listen
from tests.server.fakes import FakeCatalog, FakeModels, make_entry


def _server(catalog: FakeCatalog | None = None, refresh_seconds: float = 2.0) -> HttpServer:
    app = make_app(
        catalog or FakeCatalog([make_entry()]), FakeModels(), refresh_seconds=refresh_seconds
    )
    return HttpServer(app, "127.0.0.1", 0)


def test_it_serves_until_the_context_ends() -> None:
    with _server() as server:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        url = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")


def test_answers_do_not_wait_for_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as opened:
        # asyncio turns Nagle's algorithm off for sockets that name their protocol, only.
        assert opened.proto == socket.IPPROTO_TCP


def test_it_leaves_signals_and_logging_alone() -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    handlers = list(logging.getLogger("uvicorn").handlers)
    with _server():
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
        assert logging.getLogger("uvicorn").handlers == handlers


def test_it_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), _server() as server:
        httpx.get(f"{server.url}/readyz")
        httpx.get(f"{server.url}/nothing")
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_the_catalog_is_refreshed_while_it_serves() -> None:
    catalog, refreshed = FakeCatalog(), threading.Event()

    def refresh() -> bool:
        catalog.refreshes += 1
        if catalog.refreshes == 3:
            refreshed.set()
        return False

    catalog.refresh = refresh  # type: ignore[method-assign]  # a fake's own
    with _server(catalog, refresh_seconds=0.01):
        assert refreshed.wait(10)
    after = catalog.refreshes
    assert "refresher" not in {thread.name for thread in threading.enumerate()}
    assert catalog.refreshes == after


def test_an_open_stream_does_not_keep_it_from_stopping() -> None:
    with _server() as server, httpx.Client(timeout=10) as client:
        with client.stream("GET", f"{server.url}/live") as response:
            chunks = response.iter_bytes()
            assert next(chunks).startswith(b"event: snapshot")
            began = time.monotonic()
            server.stop()
            for _ in chunks:
                pass
        # The grace time is 3 s: the stream ended because it was told to.
        assert time.monotonic() - began < 2.5


def test_run_serves_in_the_callers_thread_until_stopped() -> None:
    server = _server()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.is_serving:
            assert time.monotonic() < deadline
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    finally:
        server.stop()
        thread.join(10)
    assert not thread.is_alive()


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        app = make_app(FakeCatalog(), FakeModels())
        message = f"port {port} on 127.0.0.1 is in use"
        with (
            pytest.raises(WattstreamError, match=message) as raised,
            HttpServer(app, "127.0.0.1", port),
        ):
            pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "port", "kind", "named"),
    [
        ("127.0.0.1", 70_000, MisuseError, "port is 70000"),
        ("no such host", 0, MisuseError, "no such host"),
        ("192.0.2.1", 0, WattstreamError, "192.0.2.1 is no address of this machine"),
    ],
)
def test_an_address_that_cannot_be_is_named(
    host: str, port: int, kind: type[Exception], named: str
) -> None:
    with pytest.raises(kind, match=named):
        listen(host, port)


def test_before_it_listens_it_has_no_port() -> None:
    with pytest.raises(WattstreamError, match="is not open"):
        _ = _server().port


def test_an_application_that_cannot_start_is_an_error() -> None:
    class Broken:
        def __init__(self, _: object) -> None:
            pass

        async def __aenter__(self) -> None:
            raise RuntimeError("no")

        async def __aexit__(self, *_: object) -> None:
            pass

    app = make_app(FakeCatalog(), FakeModels())
    app.router.lifespan_context = Broken
    with pytest.raises(WattstreamError, match="did not start"), HttpServer(app, "127.0.0.1", 0):
        pass
    with pytest.raises(WattstreamError, match="did not start"):
        HttpServer(app, "127.0.0.1", 0).run()
