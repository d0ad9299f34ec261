"""How many requests are answered at once, and for how long each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.errors import error_response

CONCURRENT_REQUESTS: Final = 256
"""Requests under way at once; more are told to come again. Their bodies are 1 MiB at most."""
REQUEST_SECONDS: Final = 30.0
"""From a request's headers to the last byte of its answer: what takes longer is given up."""
_RETRY: Final = {"retry-after": "1"}


class Limits:
    """Middleware: 503 with Retry-After for what is too much; what takes too long is ended.

    ``endless`` are the paths of what has bounds of its own, as streams have. A body that does not
    come is answered 408, an answer that is not made in time 503, and a client that does not read
    its answer loses the connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        endless: Collection[str] = (),
        concurrent: int = CONCURRENT_REQUESTS,
        seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._app = app
        self._endless = frozenset(endless)
        self._most = concurrent
        self._seconds = seconds
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, if there is room."""
        if scope["type"] != "http" or scope["path"] in self._endless:
            await self._app(scope, receive, send)
            return
        if self._now >= self._most:
            sentence = f"{self._now} requests are under way, {self._most} are the limit"
            await error_response(503, sentence, _RETRY)(scope, receive, send)
            return
        self._now += 1
        try:
            await self._timed(scope, receive, send)
        finally:
            self._now -= 1

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        waits = _Waits(receive, send)
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                await self._app(scope, waits.receive, waits.send)
        except TimeoutError:
            if not deadline.expired() or waits.has_begun:
                raise  # The application's own, or an answer that is not read: the server hangs up.
            body = waits.for_body
            what = "the body has not come" if body else "there is no answer"
            refused = error_response(
                408 if body else 503,
                f"{what} within {self._seconds:g} s",
                {"connection": "close", **({} if body else _RETRY)},
            )
            await refused(scope, receive, send)


class _Waits:
    """What a request waits for: its body, or that the client reads its answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.for_body = False
        self.has_begun = False

    async def receive(self) -> Message:
        self.for_body = True
        message = await self._receive()
        self.for_body = False
        return message

    async def send(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)
