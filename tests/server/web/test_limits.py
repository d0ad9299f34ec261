from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.web.body import read_body
from server.web.limits import Limits
from tests.server.error_shape import assert_error


class Slow:
    """Answers when it is let; ``/body`` reads the body first."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        if scope["path"] == "/body":
            await read_body(scope, receive)
        await self.go.wait()
        await Response(b"done")(scope, receive, send)


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def test_more_requests_than_fit_come_again_and_streams_do_not_count() -> None:
    async def scenario() -> None:
        slow = Slow()
        async with _client(Limits(slow, endless=["/live"], concurrent=2)) as client:
            waiting = [asyncio.create_task(client.get(path)) for path in ("/a", "/b", "/live")]
            while slow.begun < 3:
                await asyncio.sleep(0)
            refused = await client.get("/c")
            assert_error(refused, 503, "2 requests", "2 are the limit")
            assert refused.headers["retry-after"] == "1"
            slow.go.set()
            assert [one.status_code for one in await asyncio.gather(*waiting)] == [200] * 3
            assert (await client.get("/c")).status_code == 200

    asyncio.run(scenario())


def test_an_answer_that_is_not_made_in_time_is_given_up() -> None:
    async def scenario() -> None:
        slow = Slow()
        async with _client(Limits(slow, seconds=0.01)) as client:
            response = await client.get("/")
            assert_error(response, 503, "no answer within 0.01 s")
            assert response.headers["retry-after"] == "1"
            slow.go.set()
            assert (await client.get("/")).status_code == 200

    asyncio.run(scenario())


def test_a_body_that_does_not_come_is_a_timeout_of_the_clients() -> None:
    async def scenario() -> None:
        async def never() -> Any:
            await asyncio.Event().wait()

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/body", "method": "POST", "headers": []}
        await Limits(Slow(), seconds=0.01)(scope, never, send)
        assert sent[0]["status"] == 408
        assert (b"connection", b"close") in sent[0]["headers"]

    asyncio.run(scenario())


def test_an_answer_that_is_not_read_is_broken_off() -> None:
    async def scenario() -> None:
        async def stuck(message: Any) -> None:
            await asyncio.Event().wait()

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        slow = Slow()
        slow.go.set()
        scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
        with pytest.raises(TimeoutError):
            await Limits(slow, seconds=0.01)(scope, receive, stuck)

    asyncio.run(scenario())


def test_the_applications_own_timeout_is_its_own() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("of a store")

    async def scenario() -> None:
        async with _client(Limits(failing)) as client:
            with pytest.raises(TimeoutError, match="of a store"):
                await client.get("/")

    asyncio.run(scenario())
