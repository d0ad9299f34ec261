"""The page of a Kepler exporter on this machine, within a time and a size."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from estimator.errors import MisuseError, SourceUnavailableError
from estimator.export.exposition import Page, read_page

KEPLER_URL: Final = "http://127.0.0.1:28282/metrics"
"""Where Kepler 0.10 and later listens unless told otherwise."""
MOST_BYTES: Final = 64 << 20
TIMEOUT_SECONDS: Final = 4.0

_PIECE: Final = 256 << 10


class KeplerScrape:
    """Fetches one exporter's page, again and again; proxies are not used."""

    def __init__(
        self,
        url: str = KEPLER_URL,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``MisuseError`` for what is no http URL with a host."""
        address = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(address)
            self._port = parts.port or 80
        except ValueError as error:
            raise MisuseError(f"export_kepler is {url!r}: {error}") from error
        if parts.scheme != "http" or not parts.hostname:
            raise MisuseError(f"export_kepler is {url!r}: http://HOST[:PORT][/PATH] is needed")
        self._host = parts.hostname
        self._path = (parts.path if parts.path not in ("", "/") else "/metrics") + (
            f"?{parts.query}" if parts.query else ""
        )
        self.url = f"http://{parts.hostname}:{self._port}{self._path}"
        self._timeout = timeout_seconds
        self._clock = clock

    def fetch(self) -> Page:
        """The page now; ``SourceUnavailableError`` names the URL and what came instead."""
        until = self._clock() + self._timeout
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("GET", self._path, headers={"Accept": "text/plain;version=0.0.4"})
            with connection.getresponse() as response:
                body = self._read(response, until)
        except (OSError, http.client.HTTPException) as error:
            raise SourceUnavailableError(f"{self.url}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        try:
            return read_page(body.decode("utf-8", errors="replace"))
        except ValueError as error:
            raise SourceUnavailableError(f"{self.url} sent no page of metrics: {error}") from error

    def _read(self, response: http.client.HTTPResponse, until: float) -> bytes:
        if response.status != http.client.OK:
            raise SourceUnavailableError(f"{self.url} answers {response.status}")
        kind = response.headers.get("Content-Type", "text/plain")
        if not kind.startswith("text/plain"):
            raise SourceUnavailableError(f"{self.url} sent {kind}: text/plain is needed")
        body = bytearray()
        while piece := response.read1(_PIECE):
            body += piece
            if len(body) > MOST_BYTES:
                raise SourceUnavailableError(f"{self.url} sent more than {MOST_BYTES} bytes")
            if self._clock() > until:
                raise SourceUnavailableError(f"{self.url}: not read within {self._timeout:g} s")
        return bytes(body)
