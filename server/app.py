"""The model server: one Starlette application made of what it is given."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from estimator.choosing.catalog import Catalog
from estimator.kepler_socket.counts import Counts
from estimator.kepler_socket.refresher import Refresher
from estimator.storage.model_store import ModelStore
from server.kepler.best_models import BestModels
from server.kepler.kepler_api import KeplerApi
from server.models.artifact_bytes import ArtifactBytes
from server.models.models_api import ModelsApi
from server.models.version_events import VersionEvents
from server.models.versions_api import VersionsApi
from server.monitoring.health import HealthApi
from server.monitoring.last_status import KEPT_SECONDS, LastStatus
from server.monitoring.live import Live
from server.monitoring.live_api import LiveApi
from server.monitoring.metrics import MetricsApi, WattstreamCollector
from server.monitoring.overview import OverviewApi
from server.monitoring.page import Page
from server.monitoring.status import ServerAlone, StatusProvider
from server.openapi import description
from server.web.describing import OpenApi
from server.web.guarded import guarded
from server.web.http_metrics import HttpMetrics
from server.web.token import BearerToken
from server.web.writing import Writers

REFRESH_SECONDS: Final = 2.0
ENDLESS: Final = ("/live", "/events")
"""Answers that never end."""


def make_app(
    catalog: Catalog,
    models: ModelStore,
    provider: StatusProvider | None = None,
    live: Live | None = None,
    token: BearerToken | None = None,
    *,
    refresh_seconds: float = REFRESH_SECONDS,
    status_seconds: float = KEPT_SECONDS,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """The application that serves the catalog's models, and shows the parts that run beside it.

    Without ``provider`` and ``live`` it serves alone, as ``wattstream serve`` does. While it runs
    (between its lifespan's start and end) it refreshes the catalog every ``refresh_seconds``, and
    it asks the provider at most every ``status_seconds``. Who has the token may say which version
    of a model is current; where there is none, anybody but other web sites' pages.
    ``app.state.stopping`` is an event that ends what would go on for ever, the pages' streams.
    """
    artifacts = ArtifactBytes(models.artifact_bytes)
    last = LastStatus(provider or ServerAlone(), status_seconds)
    stopping = Event()
    http_metrics = HttpMetrics()
    parts = (
        KeplerApi(catalog, artifacts),
        BestModels(catalog),
        ModelsApi(catalog, models, artifacts),
        HealthApi(catalog, last),
        MetricsApi(WattstreamCollector(catalog, last, clock), http_metrics),
        VersionsApi(models, Writers(token)),
        OverviewApi(catalog, last),
        VersionEvents(catalog, stopping),
        LiveApi(live or Live(), catalog, last, stopping),
        OpenApi(description()),
        Page(),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        refresher = Refresher(catalog.refresh, refresh_seconds, Counts())
        refresher.start()
        try:
            yield
        finally:
            await run_in_threadpool(refresher.stop)

    return guarded(parts, http_metrics, stopping, lifespan, ENDLESS)
