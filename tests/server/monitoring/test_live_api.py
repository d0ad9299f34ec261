from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Event
from typing import Any

from starlette.requests import Request

from server.monitoring.last_status import LastStatus
from server.monitoring.live import Live
from server.monitoring.live_api import LiveApi
from server.monitoring.status import ServerAlone, Status
from server.web.event_stream import STREAMS
from tests.server.conftest import Serve
from tests.server.error_shape import assert_error
from tests.server.fakes import STATUS, FakeCatalog, FakeProvider, make_entry

Steps = list[Callable[[], None]]


class Stream:
    """An API whose pauses are steps of the test: each does something, the last one stops it."""

    def __init__(self, steps: Steps, provider: FakeProvider | ServerAlone | None = None) -> None:
        self.live, self.catalog, self.stopping = Live(), FakeCatalog(), Event()
        self._steps = [*steps, self.stopping.set]
        last = LastStatus(provider or ServerAlone(), kept_seconds=0)
        self.api = LiveApi(self.live, self.catalog, last, self.stopping, self._pause)

    async def _pause(self) -> None:
        self._steps.pop(0)()

    def read(self) -> list[tuple[str, Any]]:
        """All events until the stream ends, decoded."""
        return decode(asyncio.run(_collect(self.api.streams.events(self.api.view))))


async def _collect(events: AsyncIterator[bytes]) -> bytes:
    return b"".join([event async for event in events])


def decode(stream: bytes) -> list[tuple[str, Any]]:
    events = []
    for block in stream.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


def test_a_stream_begins_with_all_that_is_known() -> None:
    stream = Stream([], FakeProvider())
    stream.live.add("n", "rapl-sysfs", "package", 10.0, 50.0, None)
    stream.catalog.entries = (make_entry(),)
    events = dict(stream.read())
    assert events["snapshot"] == [["n", "rapl-sysfs", "package", 10.0, 50.0, None]]
    assert events["models"] == {"models": 1}
    status = events["status"]
    assert [source["name"] for source in status["sources"]] == [
        source.name for source in STATUS.sources or ()
    ]
    assert status["learner"]["dropped"]["late"] == 2
    assert status["missing"] == []


def test_a_server_alone_says_so() -> None:
    status = dict(Stream([]).read())["status"]
    assert status["sources"] is None
    assert status["learner"] is None
    assert status["missing"] == ["no model to serve: none has been published yet"]


def test_after_that_only_what_is_new() -> None:
    provider = FakeProvider()
    stream = Stream([], provider)

    def reading() -> None:
        stream.live.add("n", "acpi", "platform", 11.0, 90.0, 91.0)

    def model() -> None:
        stream.catalog.entries = (make_entry(),)

    def trouble() -> None:
        provider.now = Status(missing=("no source is up",))

    stream._steps[:0] = [reading, lambda: None, model, trouble]
    names = [(name, data) for name, data in stream.read()[3:]]
    assert names[0] == ("power", [["n", "acpi", "platform", 11.0, 90.0, 91.0]])
    # With the first model nothing is missing any more: that is news of the status too.
    assert [name for name, _ in names[1:]] == ["status", "models", "status"]
    assert names[-1][1]["missing"] == ["no source is up"]


def test_a_quiet_stream_is_kept_open_by_comments() -> None:
    stream = Stream([lambda: None] * 100)
    text = asyncio.run(_collect(stream.api.streams.events(stream.api.view)))
    assert text.count(b": still here\n\n") == 3


def test_the_stream_ends_when_the_server_stops() -> None:
    stream = Stream([])
    stream.stopping.set()
    assert stream.read() == []


def test_too_many_streams_are_refused_until_one_ends() -> None:
    async def scenario() -> None:
        live, stopping = Live(), Event()
        waiting: Callable[[], Awaitable[object]] = asyncio.Event().wait

        async def pause() -> None:
            await waiting()

        api = LiveApi(live, FakeCatalog(), LastStatus(ServerAlone()), stopping, pause)
        streams = [api.streams.events(api.view) for _ in range(STREAMS)]
        for events in streams:
            await anext(events)
        request = Request({"type": "http", "query_string": b""})
        refused = await api.live(request)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "30"
        await streams[0].aclose()  # type: ignore[attr-defined]  # a generator, behind its iterator
        assert (await api.live(request)).status_code == 200

    asyncio.run(scenario())


def test_the_route_answers_with_an_event_stream_that_is_not_stored(serve: Serve) -> None:
    client = serve()
    client.app.state.stopping.set()
    response = client.get("/live")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert_error(client.post("/live"), 405, "POST")
