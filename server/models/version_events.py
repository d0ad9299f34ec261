"""``GET /events``: server-sent events of new versions, for programs that follow models.

============  ====================================================================
event         data
============  ====================================================================
``start``     how many models there are; comes first
``version``   a version that is new: slug, digest, at, samples, held
``current``   what is current of a model, and whether it is pinned or held; when it changes
============  ====================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Event

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.choosing.catalog import Catalog
from estimator.storage.model_index import ModelIndex
from server.web.event_stream import EventStreams, Pause, event, pause


class VersionEvents:
    """Tells any number of readers, up to a bound, what became new after they had come."""

    def __init__(self, catalog: Catalog, stopping: Event, pause: Pause = pause) -> None:
        self._catalog = catalog
        self.streams = EventStreams("/events", stopping, pause)

    def routes(self) -> list[BaseRoute]:
        """Where the stream is found."""
        return [Route("/events", self.events, methods=["GET"])]

    async def events(self, _request: Request) -> Response:
        """The stream; 503 when too many are open."""
        return self.streams.response(self.view)

    def view(self) -> VersionView:
        """What one new reader is told."""
        return VersionView(self._catalog)


class VersionView:
    """What one reader has been told already."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._seen: Mapping[str, ModelIndex] | None = None

    async def events(self) -> bytes:
        """What is new, as events; empty if nothing is."""
        seen, now = self._seen, self._catalog.indexes
        if seen is now:
            return b""
        self._seen = now
        if seen is None:
            return event("start", {"models": len(now)})
        return b"".join(_news(seen, now))


def _news(seen: Mapping[str, ModelIndex], now: Mapping[str, ModelIndex]) -> Iterator[bytes]:
    for slug, index in now.items():
        before = seen.get(slug)
        if before is index:
            continue
        known = set() if before is None else {one.digest for one in before.versions}
        for version in index.versions:
            if version.digest not in known:
                yield event(
                    "version",
                    {
                        "slug": slug,
                        "digest": version.digest,
                        "at": version.at,
                        "samples": version.samples,
                        "held": version.held,
                    },
                )
        if before is None or _current(before) != _current(index):
            digest, state = _current(index)
            yield event("current", {"slug": slug, "digest": digest, "state": state})


def _current(index: ModelIndex) -> tuple[str, str]:
    return index.current, index.state
