"""Connections that send no request are closed, be it that they dawdle or that they never end."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_SECONDS: Final = 10.0
"""From the opening of a connection, or a request's first byte, to the end of its headers."""
HEADERS_BYTES: Final = 65_536
"""A request's line and headers have no more."""


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a deadline and a limit for a request's headers.

    Uvicorn itself limits only the time between an answer and the next request.
    """

    headers_seconds = HEADERS_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._unasked = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Something of a request has come."""
        super().data_received(data)
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way:
            self._disarm()
            self._unasked = 0
            return
        self._unasked += len(data)
        if self._unasked > HEADERS_BYTES:
            self.transport.close()
        elif self._deadline is None:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self.headers_seconds, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
