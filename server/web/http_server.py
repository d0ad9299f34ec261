"""Runs an application by uvicorn: in a thread of its own, or in the caller's until stopped."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from threading import Event, Thread
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette

from estimator.errors import MisuseError, WattstreamError
from server.web.patience import PatientProtocol
from server.web.tls import RENEWAL_SECONDS, Certificate

_START_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 3


class HttpServer:
    """Listens at ``host`` and ``port`` (0: any free one) and serves the application.

    As a context manager it serves from a thread of its own, leaves signals alone, and stops when
    the context ends: requests under way are finished first. ``run`` serves in the caller's thread;
    in the main thread SIGINT and SIGTERM stop it, and are raised again once it has.

    With a certificate it speaks TLS and nothing else.
    """

    def __init__(
        self, app: Starlette, host: str, port: int, certificate: Certificate | None = None
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._scheme = "http" if certificate is None else "https"
        self._server = _Server(app, certificate)
        self._thread = Thread(target=self._serve, name="http-server", daemon=True)

    @property
    def port(self) -> int:
        """The port, once it listens."""
        if self._socket is None:
            raise WattstreamError(f"port {self._port} on {self._host} is not open")
        return int(self._socket.getsockname()[1])

    @property
    def is_serving(self) -> bool:
        """Whether requests are answered now."""
        return bool(self._server.started) and not self._server.should_exit

    @property
    def url(self) -> str:
        """Where the server is found, once it listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._socket = listen(self._host, self._port)
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS) or not self._server.started:
            self._stop()
            raise self._not_started()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self) -> None:
        """Serve until `stop` is called or, in the main thread, a signal comes."""
        self._socket = listen(self._host, self._port)
        self._serve()
        if not self._server.started:
            raise self._not_started()

    def stop(self) -> None:
        """Ask the server to stop, from any thread; does not wait for it."""
        self._server.should_exit = True

    def _serve(self) -> None:
        assert self._socket is not None  # noqa: S101 (both callers have opened it)
        try:
            self._server.run([self._socket])
        except SystemExit:
            pass  # Uvicorn's way to say that the application did not start: it has logged why.
        finally:
            self._server.ready.set()
            self._socket.close()

    def _not_started(self) -> WattstreamError:
        return WattstreamError(f"the HTTP server at {self._host}:{self._port} did not start")

    def _stop(self) -> None:
        self.stop()
        self._thread.join()


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it has started and tells endless answers to end."""

    def __init__(self, app: Starlette, certificate: Certificate | None) -> None:
        def context(*_: object) -> ssl.SSLContext:
            assert certificate is not None  # noqa: S101 (asked for only if there is one)
            return certificate.context

        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                loop="asyncio",
                ssl_context_factory=None if certificate is None else context,
                # What a header says of the client's address or scheme is anybody's word.
                proxy_headers=False,
                lifespan="on",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self.ready = Event()
        self._stopping: Event = app.state.stopping
        self._certificate = certificate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        # Ten times a second.
        if self._certificate is not None and counter % (10 * RENEWAL_SECONDS) == 0:
            self._certificate.renew()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; ``WattstreamError`` says in one line why there is none."""
    if not 0 <= port <= 65535:
        raise MisuseError(f"port is {port}: 0 to 65535 are possible")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise MisuseError(f"host is {host!r}: {error.strerror}") from error
    # With its protocol named: asyncio sets TCP_NODELAY on no other, and an answer on a kept
    # connection would wait 40 ms for the client's delayed acknowledgement.
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(2048)
    except OSError as error:
        opened.close()
        raise WattstreamError(_why(error, host, port)) from error
    return opened


def _why(error: OSError, host: str, port: int) -> str:
    where = f"port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop what listens there, or choose another port"
    if error.errno == errno.EACCES:
        return f"{where} is not allowed to this user: choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where} cannot be opened: {host} is no address of this machine"
    return f"{where} cannot be opened: {error.strerror}"
