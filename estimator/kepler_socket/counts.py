"""What the estimator has done so far, for whoever exports it."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

LATENCY_BOUNDS_SECONDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)

ERROR_KINDS: Final = (
    *("unreadable", "too_long", "invalid", "no_model", "internal"),
    *("deadline", "busy", "crowded", "gone"),
)
"""What can be wrong with a request, then what can go wrong with a connection."""


class Counts:
    """Counters that only grow, and how many connections are open now.

    ``latencies[i]`` counts requests answered within ``LATENCY_BOUNDS_SECONDS[i]`` but not within
    the bound before, the last one those beyond all bounds. ``errors`` are by `ERROR_KINDS`.
    """

    def __init__(self) -> None:
        self.requests, self.rows = 0, 0
        self.connections, self.open_connections = 0, 0
        self.errors: dict[str, int] = {}
        self.latencies = [0] * (len(LATENCY_BOUNDS_SECONDS) + 1)
        self.latency_seconds = 0.0
        self.refreshes, self.refresh_failures = 0, 0

    def answered(self, rows: int, seconds: float, problem: str) -> None:
        """Count a request of so many rows, and how long it took from its last byte."""
        self.requests += 1
        self.rows += rows
        self.latencies[bisect_left(LATENCY_BOUNDS_SECONDS, seconds)] += 1
        self.latency_seconds += seconds
        if problem:
            self.failed(problem)

    def failed(self, kind: str) -> None:
        """Count something that went wrong."""
        self.errors[kind] = self.errors.get(kind, 0) + 1
