"""Measured and estimated power of the last minutes, in memory, for whoever is looking."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from server.monitoring.live_nodes import LiveNodes

KEPT_SECONDS: Final = 600.0
"""Readings older than the newest one of their series by more are forgotten."""

_POINTS_PER_SERIES: Final = 1200
_SERIES: Final = 320
"""Five for each node that may be watched: Kepler's components, and the machine as a whole."""


class Series(NamedTuple):
    """What a line shows: a component of a node as one energy source measures it."""

    node: str
    source: str
    component: str


class Point(NamedTuple):
    """One reading: when (Unix seconds), and watts; None where only one of the two is known."""

    at: float
    measured: float | None
    estimated: float | None


class Reading(NamedTuple):
    """A point of a series; ``number`` counts all readings, in the order of their coming."""

    number: int
    series: Series
    point: Point


class Live:
    """A bounded ring of points per series. One thread adds, others read.

    At most 320 series are kept: readings of further ones are counted in ``left_out`` until a series
    has been silent for the kept time and makes room. Who adds asks ``nodes`` whether a node is
    watched: of a fleet's thousands of nodes those few are kept that somebody looks at.
    """

    def __init__(self, kept_seconds: float = KEPT_SECONDS, series: int = _SERIES) -> None:
        self._kept_seconds = kept_seconds
        self._bound = series
        self._rings: dict[Series, deque[Reading]] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._newest = 0.0
        self.nodes = LiveNodes()
        self.left_out = 0

    def add(
        self,
        node: str,
        source: str,
        component: str,
        at: float,
        measured: float | None,
        estimated: float | None,
    ) -> None:
        """Take in one reading: ``at`` in Unix seconds, watts measured and watts estimated."""
        series = Series(node, source, component)
        with self._lock:
            self._newest = max(self._newest, at)
            ring = self._rings.get(series) or self._new_ring(series)
            if ring is None:
                self.left_out += 1
                return
            self._count += 1
            ring.append(Reading(self._count, series, Point(at, measured, estimated)))
            while ring[0].point.at < at - self._kept_seconds:
                ring.popleft()

    def watch(self, node: str) -> None:
        """Keep readings of the node for as long as this is said again now and then."""
        gone = self.nodes.watch(node)
        if gone is not None:
            with self._lock:
                for series in [one for one in self._rings if one.node == gone]:
                    del self._rings[series]

    def since(self, number: int, node: str | None = None) -> Sequence[Reading]:
        """The kept readings that came after that number (0: all), in the order of their coming.

        Those of one node, if it is named.
        """
        new: list[Reading] = []
        with self._lock:
            for series, ring in self._rings.items():
                if node is not None and series.node != node:
                    continue
                for reading in reversed(ring):
                    if reading.number <= number:
                        break
                    new.append(reading)
        return sorted(new)

    def _new_ring(self, series: Series) -> deque[Reading] | None:
        if len(self._rings) >= self._bound:
            oldest = min(self._rings, key=lambda one: self._rings[one][-1].point.at)
            if self._rings[oldest][-1].point.at >= self._newest - self._kept_seconds:
                return None
            del self._rings[oldest]
        ring = self._rings[series] = deque(maxlen=_POINTS_PER_SERIES)
        return ring
