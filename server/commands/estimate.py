"""The estimator: Kepler's socket, on every node."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.catalog import Catalog
from estimator.settings import Settings
from estimator.socket_server import EstimatorServer

if TYPE_CHECKING:
    from estimator.machine import MachineSpec
    from estimator.model_cache import ModelCache
    from estimator.model_source import ModelSource

SETTINGS = (
    *("data", "store", "socket", "socket_mode", "procfs", "sysfs", "refresh_interval"),
    *("models", "models_interval", "imported", "socket_owner", "socket_group", "metrics_port"),
)

_log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Answer Kepler's power requests at the socket, by the models in the store."""
    from estimator.socket_server import serve

    serve(lone_estimator(settings))
    return 0


def lone_estimator(settings: Settings) -> EstimatorServer:
    """The estimator that the settings describe as a process of its own, not yet bound.

    Models that come from afar, a model server or a bucket, are kept in the data folder.
    """
    from estimator.nearby import NearbyModels

    machine = _machine(settings)
    source: ModelSource = NearbyModels(_source(settings), machine)
    cache = None
    if settings.models or not settings.store_url.startswith("file:"):
        source = cache = _cache(settings, source)
    seconds = settings.models_interval if settings.models else settings.refresh_interval
    return make_estimator(settings, Catalog(source), cache, machine, seconds)


def make_estimator(
    settings: Settings,
    models: Catalog,
    cache: ModelCache | None = None,
    machine: MachineSpec | None = None,
    refresh_seconds: float | None = None,
) -> EstimatorServer:
    """The estimator of these models, not yet bound."""
    from estimator.answering import Answerer
    from estimator.counts import Counts
    from estimator.imported import ImportedModels
    from estimator.meters import missing_meters
    from estimator.model_feed import ModelFeed
    from estimator.socket_path import access

    machine = machine or _machine(settings)
    counts = Counts()
    imported = ImportedModels(settings.imported_folder, machine)
    return EstimatorServer(
        Answerer(models, machine, fallback=imported, unmetered=missing_meters()),
        settings.socket,
        refresh=ModelFeed(models, counts, cache).refresh,
        refresh_seconds=refresh_seconds or settings.refresh_interval,
        access=access(int(settings.socket_mode, 8), settings.socket_owner, settings.socket_group),
        metrics_port=settings.metrics_port,
        counts=counts,
    )


def _source(settings: Settings) -> ModelSource:
    from estimator.model_store import ModelStore
    from estimator.store import open_store

    if settings.models:
        from estimator.remote_models import RemoteModels

        return RemoteModels(settings.models)
    return ModelStore(open_store(settings.store_url))


def _cache(settings: Settings, source: ModelSource) -> ModelCache:
    """A cache in the data folder; where that cannot be written, one in memory."""
    from estimator.errors import StoreError
    from estimator.model_cache import ModelCache
    from estimator.store import InMemoryStore, open_store

    folder = Path(settings.data) / "estimator"
    try:
        return ModelCache(source, open_store(f"file:{folder}"))
    except StoreError as error:
        _log.warning("models are not kept for the next start: %s", error)
        return ModelCache(source, InMemoryStore())


def _machine(settings: Settings) -> MachineSpec:
    from estimator.discovery import discover_machine

    return discover_machine(Path(settings.procfs), Path(settings.sysfs))
