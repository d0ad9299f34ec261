from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from estimator.choosing.catalog import Entry
from server.app import make_app
from server.monitoring.live import Live
from server.monitoring.status import StatusProvider
from tests.server.fakes import AT, FakeCatalog, FakeModels


class Chunks(httpx.AsyncByteStream):
    """A body in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class AsgiTransport(httpx.BaseTransport):
    """Has an application answer in place of a server, each request in a loop of its own."""

    def __init__(self, app: Starlette) -> None:
        self._asgi = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        request.stream = Chunks(list(request.stream))
        answer = await self._asgi.handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)


class Served(httpx.Client):
    """A client of an application, and the fakes behind it."""

    catalog: FakeCatalog
    models: FakeModels
    app: Starlette


def make_served(
    *entries: Entry, provider: StatusProvider | None = None, live: Live | None = None
) -> Served:
    """A client of an application that serves these entries, ten seconds after their time."""
    catalog, models = FakeCatalog(entries), FakeModels(entries)
    app = make_app(catalog, models, provider, live, status_seconds=0, clock=lambda: AT / 1000 + 10)
    client = Served(transport=AsgiTransport(app), base_url="http://test")
    client.catalog, client.models, client.app = catalog, models, app
    return client


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`make_served`, and what it made is closed at the end."""
    with ExitStack() as stack:

        def make(*entries: Entry, **parts: Any) -> Served:
            return stack.enter_context(make_served(*entries, **parts))

        yield make
