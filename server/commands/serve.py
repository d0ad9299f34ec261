"""The model server alone: it reads the store and never learns."""

from __future__ import annotations

import logging

from estimator.settings import HTTP_SETTINGS, Settings
from server.commands.running import stopped_by_signals, wait

_log = logging.getLogger(__name__)

SETTINGS = (
    "data",
    "store",
    "listen",
    "refresh_interval",
    "initial_pipeline_url",
    *HTTP_SETTINGS,
)


def run(settings: Settings) -> int:
    """Serve the store's models by HTTP to Kepler, estimators, Prometheus and people."""
    from estimator.choosing.catalog import Catalog
    from estimator.published.importing import import_at_start
    from estimator.storage.model_store import ModelStore
    from estimator.storage.store import open_store
    from server.app import make_app
    from server.web.http_server import HttpServer
    from server.web.tls import Certificate
    from server.web.token import BearerToken

    token, certificate = BearerToken.of(settings), Certificate.of(settings)
    models = ModelStore(open_store(settings.store_url))
    app = make_app(Catalog(models), models, token=token, refresh_seconds=settings.refresh_interval)
    with stopped_by_signals() as stop, HttpServer(app, *settings.address, certificate) as server:
        _log.info("serving %s at %s/", settings.store_url, server.url)
        import_at_start(models, settings.initial_pipeline_url)
        wait(stop)
    return 0
