"""The page of a Kepler exporter on this machine, within a time and a size."""

from __future__ import annotations

import http
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from estimator.errors import DamagedError, MisuseError, SourceUnavailableError
from estimator.export.exposition import Page, read_page
from estimator.storage.http_get import Bounds, get

KEPLER_URL: Final = "http://127.0.0.1:28282/metrics"
"""Where Kepler 0.10 and later listens unless told otherwise."""
MOST_BYTES: Final = 64 << 20
TIMEOUT_SECONDS: Final = 4.0

_ACCEPT: Final = {"Accept": "text/plain;version=0.0.4"}


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
            port = parts.port or 80
        except ValueError as error:
            raise MisuseError(f"export_kepler is {url!r}: {error}") from error
        if parts.scheme != "http" or not parts.hostname:
            raise MisuseError(f"export_kepler is {url!r}: http://HOST[:PORT][/PATH] is needed")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        path = parts.path if parts.path not in ("", "/") else "/metrics"
        query = f"?{parts.query}" if parts.query else ""
        self.url = f"http://{host}:{port}{path}{query}"
        self._timeout = timeout_seconds
        self._clock = clock

    def fetch(self) -> Page:
        """The page now; ``SourceUnavailableError`` names the URL and what came instead."""
        bounds = Bounds(MOST_BYTES, self._timeout, self._timeout)
        try:
            answer = get(self.url, bounds, _ACCEPT, clock=self._clock)
        except DamagedError as error:
            raise SourceUnavailableError(str(error)) from error
        if answer.status != http.HTTPStatus.OK:
            raise SourceUnavailableError(f"{self.url} answers {answer.status}")
        kind = answer.headers.get("Content-Type", "text/plain")
        if not kind.startswith("text/plain"):
            raise SourceUnavailableError(f"{self.url} sent {kind}: text/plain is needed")
        try:
            return read_page(answer.body.decode("utf-8", errors="replace"))
        except ValueError as error:
            raise SourceUnavailableError(f"{self.url} sent no page of metrics: {error}") from error
