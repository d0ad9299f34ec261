"""The model server: one Starlette application made of what it is given."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event

from starlette.applications import Starlette
from starlette.middleware import Middleware

from estimator.catalog import Catalog
from estimator.model_store import ModelStore
from server.artifact_bytes import ArtifactBytes
from server.errors import exception_handlers
from server.health import HealthApi
from server.kepler_api import KeplerApi
from server.live import Live
from server.live_api import LiveApi
from server.metrics import MetricsApi, WattstreamCollector
from server.models_api import ModelsApi
from server.page import Page
from server.refresh import REFRESH_SECONDS, Refresher
from server.security import SecurityHeaders
from server.status import ServerAlone, StatusProvider


def make_app(
    catalog: Catalog,
    models: ModelStore,
    provider: StatusProvider | None = None,
    live: Live | None = None,
    *,
    refresh_seconds: float = REFRESH_SECONDS,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """The application that serves the catalog's models, and shows the parts that run beside it.

    Without ``provider`` and ``live`` it serves alone, as ``wattstream serve`` does. While it runs
    (between its lifespan's start and end) it refreshes the catalog every ``refresh_seconds``.
    ``app.state.stopping`` is an event that ends what would go on for ever, the pages' streams.
    """
    provider = provider or ServerAlone()
    artifacts = ArtifactBytes(models.artifact_bytes)
    health = HealthApi(catalog, provider)
    stopping = Event()
    parts = (
        KeplerApi(catalog, artifacts),
        ModelsApi(catalog, models, artifacts),
        health,
        MetricsApi(WattstreamCollector(catalog, provider, clock)),
        LiveApi(live or Live(), catalog, provider, health, stopping),
        Page(),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with Refresher(catalog, refresh_seconds):
            yield

    app = Starlette(
        routes=[route for part in parts for route in part.routes()],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers=exception_handlers(),
        lifespan=lifespan,
    )
    app.state.stopping = stopping
    return app
