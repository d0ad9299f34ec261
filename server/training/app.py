"""The offline trainer: one Starlette application made of what it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from estimator.settings import Settings
from server.monitoring.health import HealthApi
from server.monitoring.last_status import LastStatus
from server.monitoring.metrics import MetricsApi
from server.monitoring.status import ServerAlone
from server.training.api import Check, TrainingApi
from server.training.jobs import Jobs
from server.training.metrics import TrainingCollector
from server.training.openapi import description
from server.training.process import ProcessRunner
from server.training.run import check_request
from server.training.upload import SILENT_SECONDS
from server.web.describing import OpenApi
from server.web.guarded import guarded
from server.web.http_metrics import HttpMetrics
from server.web.token import BearerToken
from server.web.writing import Writers
from stream.learning.pools import pool

ENDLESS: Final = ("/train",)
"""What may wait for a run, or for a large body: `Jobs` and `receive_body` bound it."""


def make_trainer(settings: Settings, folder: Path) -> Starlette:
    """The trainer that the settings describe, with its runs in that folder."""
    pool(settings.experts)  # Now, not when the first request comes.
    runner = ProcessRunner(settings.experts, settings.train_memory_mib, settings.train_seconds)
    jobs = Jobs(folder, runner, waiting=settings.train_queue, keep_seconds=settings.train_keep)
    token, limit = BearerToken.of(settings), settings.train_body_mib << 20
    return make_trainer_app(
        jobs, lambda request: check_request(request, settings.experts), token, limit
    )


def make_trainer_app(
    jobs: Jobs,
    check: Check,
    token: BearerToken,
    limit: int,
    silent_seconds: float = SILENT_SECONDS,
) -> Starlette:
    """The application that trains by these jobs; they run while it does.

    ``app.state.stopping`` is an event that ends the waiting for runs.
    """
    stopping, http_metrics = Event(), HttpMetrics()
    parts = (
        TrainingApi(jobs, check, Writers(token), limit, stopping, silent_seconds),
        HealthApi(None, LastStatus(ServerAlone())),
        MetricsApi(TrainingCollector(jobs), http_metrics),
        OpenApi(description()),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        jobs.__enter__()
        try:
            yield
        finally:
            await run_in_threadpool(jobs.__exit__)

    return guarded(parts, http_metrics, stopping, lifespan, ENDLESS)
