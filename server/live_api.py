"""``GET /live``: what the page shows, as server-sent events, from now on.

============  ====================================================================
event         data
============  ====================================================================
``snapshot``  all readings that are kept; comes first
``power``     readings since then
``status``    the parts' status, whether all is ready; when it changes
``models``    how many models are served; when one of them changes
============  ====================================================================

A reading is ``[node, source, component, at, measured, estimated]``: Unix seconds and watts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from threading import Event
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from estimator.catalog import Catalog
from server.errors import error_response
from server.health import what_is_missing
from server.last_status import LastStatus
from server.live import Live, Reading

PERIOD_SECONDS: Final = 0.5
STREAMS: Final = 32
"""Pages that are served at once; more are told to come again later."""

_QUIET_PERIODS: Final = 30
"""After so many periods without an event a comment is sent, so that proxies keep the stream."""


async def _pause() -> None:
    await asyncio.sleep(PERIOD_SECONDS)


class LiveApi:
    """Streams to any number of pages, up to a bound, until ``stopping`` is set."""

    def __init__(
        self,
        live: Live,
        catalog: Catalog,
        last: LastStatus,
        stopping: Event,
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        self._live = live
        self._catalog = catalog
        self._last = last
        self._stopping = stopping
        self._pause = pause
        self._streams = 0

    def routes(self) -> list[BaseRoute]:
        """Where the stream is found."""
        return [Route("/live", self.live, methods=["GET"])]

    async def live(self, _request: Request) -> Response:
        """The stream; 503 when too many are open."""
        if self._streams >= STREAMS:
            sentence = f"/live has {self._streams} readers, {STREAMS} are the limit"
            return error_response(503, sentence, {"retry-after": "30"})
        return StreamingResponse(
            self.events(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def events(self) -> AsyncIterator[bytes]:
        """The events of one stream, encoded."""
        self._streams += 1
        try:
            view = _View(self._live, self._catalog, self._last)
            quiet = 0
            while not self._stopping.is_set():
                events = await view.events()
                quiet = 0 if events else quiet + 1
                if quiet >= _QUIET_PERIODS:
                    events, quiet = b": still here\n\n", 0
                if events:
                    yield events
                await self._pause()
        finally:
            self._streams -= 1


class _View:
    """What one reader has been told already."""

    def __init__(self, live: Live, catalog: Catalog, last: LastStatus) -> None:
        self._live = live
        self._catalog = catalog
        self._last = last
        self._number: int | None = None
        self._status = b""
        self._entries: object = None

    async def events(self) -> bytes:
        """What is new, as events; empty if nothing is."""
        return self._power() + await self._news() + self._models()

    def _power(self) -> bytes:
        readings = self._live.since(self._number or 0)
        first = self._number is None
        if not readings and not first:
            return b""
        self._number = readings[-1].number if readings else 0
        return _event("snapshot" if first else "power", _rows(readings))

    async def _news(self) -> bytes:
        status = await self._last.status_soon()
        event = _event(
            "status",
            {
                "sources": status.sources,
                "learner": status.learner,
                "missing": what_is_missing(self._catalog, status),
                "store_error": self._catalog.last_error,
                "left_out": self._live.left_out > 0,
            },
        )
        if event == self._status:
            return b""
        self._status = event
        return event

    def _models(self) -> bytes:
        entries = self._catalog.entries
        if entries is self._entries:
            return b""
        self._entries = entries
        return _event("models", {"models": len(entries)})


def _rows(readings: Sequence[Reading]) -> list[tuple[object, ...]]:
    return [(*reading.series, *reading.point) for reading in readings]


def _event(name: str, data: object) -> bytes:
    r"""One server-sent event; compact JSON has no line breaks to be escaped.

    >>> _event("models", {"models": 2})
    b'event: models\ndata: {"models":2}\n\n'
    """
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
