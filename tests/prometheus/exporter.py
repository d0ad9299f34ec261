"""A simulated node behind the page of a Kepler 0.9, at an address."""

from __future__ import annotations

import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from stream.sources.simulated import SimulatedSource
from tests.prometheus.page import KeplerPage

_LOOK_SECONDS = 0.02


class Asked(NamedTuple):
    """A request: when (Unix seconds), and what the client calls itself."""

    at: float
    agent: str


class Exporter:
    """Serves ``/metrics`` on loopback, from a node that lives in real time.

    The page is renewed at the end of each of the node's intervals, as Kepler renews its own every
    3 s. A node that has lived for a while goes on, with the page that it has by now; with
    ``begins`` there is no node, and an empty page, before `begin`. ``asked`` are the last requests.
    """

    def __init__(
        self,
        port: int = 0,
        interval_seconds: float = 0.25,
        seed: int = 0,
        source: SimulatedSource | None = None,
        page: KeplerPage | None = None,
        begins: bool = False,
    ) -> None:
        self._source: SimulatedSource | None = source
        if source is None and not begins:
            self._source = SimulatedSource(
                seed=seed, interval_seconds=interval_seconds, meter_seconds=interval_seconds
            )
        self._page = page or KeplerPage()
        self._text = ""
        self.asked: deque[Asked] = deque(maxlen=1000)
        self._stop = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(Asked(time.time(), self.headers["User-Agent"]))
                body = outer.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing of requests."""

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._threads = [
            threading.Thread(target=self._live, daemon=True),
            threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True),
        ]

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._http.server_address[1]}"

    def text(self) -> str:
        """The page now."""
        return self._text

    def begin(self, source: SimulatedSource) -> None:
        """Let there be a node."""
        self._source = source

    def _live(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            records = self._source.poll() if self._source is not None else None
            if records:
                self._page.add(records)
                self._text = self._page.text()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join()
