"""How many requests an application answers, how, and how fast: a middleware that counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from posixpath import commonpath
from time import perf_counter
from typing import Any, Final

from prometheus_client import Counter, Histogram, Metric
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.metric_families import Family

OTHER: Final = "other"
"""The label of what a client made up: its paths and methods must not become series."""
BOUNDS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

REQUESTS: Final = Family(
    "wattstream_http_requests_total",
    "Requests that were answered, by route, method and status code.",
    ("route", "method", "code"),
)
DURATION: Final = Family(
    "wattstream_http_request_duration_seconds",
    "Time from a request's head to the head of its answer.",
    ("route",),
    histogram=True,
)
FAMILIES: Final = (REQUESTS, DURATION)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics(Collector):
    """Counts of requests by route and outcome, for Prometheus. Safe to share between threads.

    A route is its path as the application declares it, such as ``/artifacts/{digest}``, so that
    there are as many as it has; what no route takes is ``other``.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.clock = clock
        self._requests = Counter(REQUESTS.name, REQUESTS.help, REQUESTS.labels, registry=None)
        self._duration = Histogram(
            DURATION.name, DURATION.help, DURATION.labels, registry=None, buckets=BOUNDS_SECONDS
        )
        # To look them up by labels costs as much again as to count.
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, method: str, code: int, seconds: float) -> None:
        """Take in one answer."""
        known = method if method in _METHODS else OTHER
        outcome = (route, known, code)
        series = self._series.get(outcome)
        if series is None:
            made = self._requests.labels(route, known, str(code)), self._duration.labels(route)
            series = self._series[outcome] = made
        requests, duration = series
        requests.inc()
        duration.observe(seconds)

    def describe(self) -> Iterable[Metric]:
        """The families without series."""
        return [family.described() for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        for metric in (*self._requests.collect(), *self._duration.collect()):
            # When a series was made says nothing of requests, and is a series more each.
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class CountRequests:
    """Middleware: has every answer counted, those of failures too."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._metrics = metrics
        self._labels = _labels(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when the head of its answer goes out.

        Not when its body has: a stream of events goes on for hours.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._metrics.clock()
        is_answered = False

        def count(code: int) -> None:
            nonlocal is_answered
            is_answered = True
            # By now the router has written into the scope who answers.
            route = self._labels.get(scope.get("endpoint"), OTHER)
            self._metrics.count(route, scope["method"], code, self._metrics.clock() - began)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            # What answers 500 stands further out than any middleware of ours.
            if not is_answered:
                count(500)
            raise


def _labels(routes: Sequence[BaseRoute]) -> Mapping[Any, str]:
    """The path of each endpoint; ``/pages/*`` of one that has several."""
    paths: dict[Any, list[str]] = {}
    for route in routes:
        if isinstance(route, Route):
            paths.setdefault(route.endpoint, []).append(route.path)
    return {
        endpoint: found[0] if len(found) == 1 else f"{commonpath(found)}/*"
        for endpoint, found in paths.items()
    }
