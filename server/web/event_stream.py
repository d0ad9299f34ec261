"""Server-sent events to a bounded number of readers, until the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Event
from typing import Final, Protocol

import msgspec
from starlette.responses import Response, StreamingResponse

from server.web.errors import error_response

PERIOD_SECONDS: Final = 0.5
STREAMS: Final = 32
"""Readers that are served at once; more are told to come again later."""

_QUIET_PERIODS: Final = 30
"""After so many periods without an event a comment is sent, so that proxies keep the stream."""
_RETRY_SECONDS: Final = 30
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}

Pause = Callable[[], Awaitable[None]]


class View(Protocol):
    """What one reader has been told already."""

    async def events(self) -> bytes:
        """What is new since it was asked last, encoded by `event`; empty if nothing is."""
        ...


async def pause() -> None:
    """Wait for a period."""
    await asyncio.sleep(PERIOD_SECONDS)


class EventStreams:
    """The streams of one path, at most `STREAMS` at once, until ``stopping`` is set."""

    def __init__(self, path: str, stopping: Event, pause: Pause = pause) -> None:
        self._path = path
        self._stopping = stopping
        self._pause = pause
        self._open = 0

    def response(self, make: Callable[[], View]) -> Response:
        """The stream of a new view; 503 when too many are open."""
        if self._open >= STREAMS:
            sentence = f"{self._path} has {self._open} readers, {STREAMS} are the limit"
            return error_response(503, sentence, {"retry-after": str(_RETRY_SECONDS)})
        return StreamingResponse(
            self.events(make), headers=_HEADERS, media_type="text/event-stream"
        )

    async def events(self, make: Callable[[], View]) -> AsyncIterator[bytes]:
        """The events of one stream, encoded."""
        self._open += 1
        try:
            view = make()
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
            self._open -= 1


def event(name: str, data: object) -> bytes:
    r"""One server-sent event; compact JSON has no line breaks to be escaped.

    >>> event("models", {"models": 2})
    b'event: models\ndata: {"models":2}\n\n'
    """
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
