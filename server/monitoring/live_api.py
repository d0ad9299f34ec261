"""``GET /live``: what the page shows, as server-sent events, from now on; ``GET /nodes``.

============  ====================================================================
event         data
============  ====================================================================
``snapshot``  all readings of the node that are kept; comes first
``power``     readings since then
``status``    the parts' status, whether all is ready; when it changes
``models``    how many models are served; when one of them or its versions change
``nodes``     how many nodes there are, and those that are estimated worst
============  ====================================================================

A reading is ``[node, source, component, at, measured, estimated]``: Unix seconds and watts. They
are of one node, that of the parameter ``node``; without it, of the one that is estimated worst when
the stream begins. So an event stays small however many nodes there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from threading import Event
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from estimator.choosing.catalog import Catalog
from server.monitoring.health import what_is_missing
from server.monitoring.last_status import LastStatus
from server.monitoring.live import Live, Reading
from server.monitoring.status import LearnerStatus
from server.web.event_stream import EventStreams, Pause, event, pause
from server.web.parameters import count, text

LISTED_NODES: Final = 50
"""Nodes that are named at once; others are found by searching for them."""
MOST_NODES: Final = 1000
"""Nodes that may be asked for at once."""
LISTED_DRIFTS: Final = 20
"""Drifts that are named, the last ones."""
_NODES_PERIODS: Final = 20
"""Every so many periods the nodes are looked through for the worst."""


class LiveApi:
    """Streams to any number of pages, up to a bound, until ``stopping`` is set."""

    def __init__(
        self,
        live: Live,
        catalog: Catalog,
        last: LastStatus,
        stopping: Event,
        pause: Pause = pause,
    ) -> None:
        self._live = live
        self._catalog = catalog
        self._last = last
        self.streams = EventStreams("/live", stopping, pause)

    def routes(self) -> list[BaseRoute]:
        """Where the stream and the nodes are found."""
        return [
            Route("/live", self.live, methods=["GET"]),
            Route("/nodes", self.nodes, methods=["GET"]),
        ]

    async def live(self, request: Request) -> Response:
        """The stream; 503 when too many are open."""
        node = text(request.query_params, "node")
        return self.streams.response(lambda: self.view(node))

    def view(self, node: str = "") -> LiveView:
        """What one new reader is told, of the node or of the worst."""
        return LiveView(self._live, self._catalog, self._last, node)

    async def nodes(self, request: Request) -> Response:
        """The nodes whose names contain ``search``, at most ``limit``, the worst first."""
        search = text(request.query_params, "search")
        limit = count(request.query_params, "limit", LISTED_NODES, MOST_NODES)
        return Response(_nodes(self._live, limit, search), media_type="application/json")


class LiveView:
    """What one reader has been told already."""

    def __init__(self, live: Live, catalog: Catalog, last: LastStatus, node: str) -> None:
        self._live = live
        self._catalog = catalog
        self._last = last
        self._node = node
        self._number: int | None = None
        self._status = b""
        self._models_seen: tuple[object, object] | None = None
        self._nodes_seen = b""
        self._periods = 0

    async def events(self) -> bytes:
        """What is new, as events; empty if nothing is."""
        return self._power() + await self._news() + self._models() + self._nodes()

    def _power(self) -> bytes:
        if not self._node:
            self._node = next((node.name for node in self._live.nodes.worst(1)), "")
        if self._node:
            self._live.watch(self._node)
        readings = self._live.since(self._number or 0, self._node or None)
        first = self._number is None
        if not readings and not first:
            return b""
        self._number = readings[-1].number if readings else 0
        return event("snapshot" if first else "power", _rows(readings))

    async def _news(self) -> bytes:
        status = await self._last.status_soon()
        news = event(
            "status",
            {
                "sources": status.sources,
                "learner": None if status.learner is None else _learner(status.learner),
                "missing": what_is_missing(self._catalog, status),
                "store_error": self._catalog.last_error,
            },
        )
        if news == self._status:
            return b""
        self._status = news
        return news

    def _models(self) -> bytes:
        entries, indexes = self._catalog.entries, self._catalog.indexes
        seen = self._models_seen
        if seen is not None and entries is seen[0] and indexes is seen[1]:
            return b""
        self._models_seen = entries, indexes
        return event("models", {"models": len(entries)})

    def _nodes(self) -> bytes:
        # Few nodes are shown as soon as they are there; many are not looked through so often.
        due = self._periods % _NODES_PERIODS == 0 or not self._nodes_seen
        self._periods += 1
        if not due or not len(self._live.nodes):
            return b""
        nodes = _nodes(self._live, LISTED_NODES)
        if nodes == self._nodes_seen:
            return b""
        self._nodes_seen = nodes
        return event("nodes", msgspec.Raw(nodes))


def _learner(learner: LearnerStatus) -> dict[str, object]:
    """What the page shows of it: of each partition and model only what they come to together."""
    return {
        "records": learner.records,
        "samples": learner.samples,
        "dropped": learner.dropped,
        "dead_letters": learner.dead_letters,
        "partitions": len(learner.partitions),
        "lag": sum(one.lag for one in learner.partitions),
        "checkpoint": learner.checkpoint,
        "drifts": _drifts(learner),
    }


def _drifts(learner: LearnerStatus) -> list[dict[str, object]]:
    """The last drifts of models, the newest first."""
    found = [one for shard in learner.shards for one in shard.drifts if one.at is not None]
    newest = heapq.nlargest(LISTED_DRIFTS, found, key=lambda one: (one.at, one.key))
    return [{"slug": one.key.slug, "key": one.key, "at": one.at} for one in newest]


def _nodes(live: Live, most: int, search: str = "") -> bytes:
    """``error`` is the recent absolute error over the power, ``at`` in Unix seconds."""
    found = [node._asdict() for node in live.nodes.worst(most, search)]
    return msgspec.json.encode({"total": len(live.nodes), "nodes": found})


def _rows(readings: Sequence[Reading]) -> list[tuple[object, ...]]:
    return [(*reading.series, *reading.point) for reading in readings]
