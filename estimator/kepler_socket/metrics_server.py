"""``GET /metrics`` in the estimator's own loop: just enough of HTTP for a Prometheus scrape."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Final

from estimator.errors import WattstreamError
from estimator.kepler_socket.exporter import CONTENT_TYPE

MOST_HEAD_BYTES: Final = 16 << 10
DEADLINE_SECONDS: Final = 5.0
MOST_CLIENTS: Final = 16
"""At once: a scrape takes a millisecond, and this port must not starve the socket."""

_BACKLOG: Final = 64
_REASONS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Busy"}


class MetricsServer:
    """Answers scrapes on a TCP port with what ``export`` returns."""

    def __init__(
        self,
        export: Callable[[], str],
        port: int,
        host: str = "",
        setting: str = "metrics_port",
    ) -> None:
        """Bind; ``WattstreamError``, which names the setting, if the port is taken.

        Port 0 is any that is free.
        """
        self._export = export
        self._clients = 0
        try:
            self._socket = _listen(host, port)
        except OSError as error:
            reason = error.strerror or error
            raise WattstreamError(f"{setting} {port}: cannot listen there: {reason}") from error

    @property
    def port(self) -> int:
        """The port on which it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> asyncio.Server:
        """Begin to answer in the running loop."""
        return await asyncio.start_server(self._serve, sock=self._socket, limit=MOST_HEAD_BYTES)

    def close(self) -> None:
        """Free the port."""
        self._socket.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._clients -= 1
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if self._clients > MOST_CLIENTS:
            return _response(503, "busy\n")
        if path != b"/metrics":
            return _response(404, "the numbers are at /metrics\n")
        if method not in (b"GET", b"HEAD"):
            return _response(405, "GET only\n", allow="GET, HEAD")
        return _response(200, self._export(), head_only=method == b"HEAD")


def _listen(host: str, port: int) -> socket.socket:
    """A socket at the address, or at all of this machine's, of both kinds if it has both."""
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            # Compiled in, but switched off.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def _response(status: int, text: str, head_only: bool = False, allow: str = "") -> bytes:
    body = text.encode()
    kind = CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8"
    fields = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Allow: {allow}"] if allow else []),
    ]
    head = "\r\n".join(fields).encode() + b"\r\n\r\n"
    return head if head_only else head + body
