"""What a process that serves no models shows of itself: its metrics and its health."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from starlette.applications import Starlette

from estimator.settings import Settings
from server.monitoring.health import HealthApi
from server.monitoring.last_status import LastStatus
from server.monitoring.metrics import MetricsApi, WattstreamCollector
from server.monitoring.status import StatusProvider
from server.web.errors import exception_handlers
from server.web.http_server import HttpServer

_log = logging.getLogger(__name__)


def make_side_app(provider: StatusProvider) -> Starlette:
    """``/metrics``, ``/healthz`` and ``/readyz`` of the parts that run in this process."""
    last = LastStatus(provider)
    parts = (HealthApi(None, last), MetricsApi(WattstreamCollector(None, last)))
    app = Starlette(
        routes=[route for part in parts for route in part.routes()],
        exception_handlers=exception_handlers(),
    )
    app.state.stopping = Event()  # which `HttpServer` sets; nothing here goes on for ever
    return app


@contextmanager
def shown(settings: Settings, provider: StatusProvider) -> Iterator[None]:
    """Answer at ``metrics_port`` while the block runs, on all addresses; not at all if it is 0."""
    if not settings.metrics_port:
        yield
        return
    with HttpServer(make_side_app(provider), "0.0.0.0", settings.metrics_port) as server:  # noqa: S104 - Prometheus scrapes from elsewhere
        _log.info("metrics are at port %d", server.port)
        yield
