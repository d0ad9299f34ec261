from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

from msgspec.structs import replace

from estimator.storage.model_index import pinned
from server.models.version_events import VersionEvents
from tests.server.conftest import Serve
from tests.server.fakes import FakeCatalog, make_entry, make_index
from tests.server.monitoring.test_live_api import Steps, decode


def _told(catalog: FakeCatalog, steps: Steps) -> list[tuple[str, Any]]:
    stopping = Event()
    left = [*steps, stopping.set]

    async def pause() -> None:
        left.pop(0)()

    api = VersionEvents(catalog, stopping, pause)

    async def collect() -> bytes:
        return b"".join([one async for one in api.streams.events(api.view)])

    return decode(asyncio.run(collect()))


def test_what_is_new_is_told_and_nothing_else() -> None:
    entry, other = make_entry(), make_entry("Basic")
    catalog = FakeCatalog([entry])
    slug = entry.manifest.key.slug
    first = make_index(entry)
    newer = replace(first.versions[0], digest="b" * 64, samples=2000, held=True)

    def held_back() -> None:
        catalog.indexes = {slug: replace(first, versions=[*first.versions, newer], held_since=5)}

    def rolled_forward() -> None:
        catalog.indexes = {slug: pinned(catalog.indexes[slug], "b" * 64)}

    def another() -> None:
        index = make_index(other)
        catalog.indexes = {**catalog.indexes, index.key.slug: index}

    told = _told(catalog, [lambda: None, held_back, rolled_forward, another])
    version = {"slug": slug, "digest": "b" * 64, "at": newer.at, "samples": 2000, "held": True}
    assert told[:4] == [
        ("start", {"models": 1}),
        ("version", version),
        ("current", {"slug": slug, "digest": entry.digest, "state": "held"}),
        ("current", {"slug": slug, "digest": "b" * 64, "state": "pinned"}),
    ]
    assert [(name, data["slug"]) for name, data in told[4:]] == [
        ("version", other.manifest.key.slug),
        ("current", other.manifest.key.slug),
    ]


def test_the_route_answers_with_an_event_stream(serve: Serve) -> None:
    client = serve(make_entry())
    client.app.state.stopping.set()
    response = client.get("/events")
    assert response.headers["content-type"].startswith("text/event-stream")
