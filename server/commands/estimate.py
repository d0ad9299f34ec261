"""The estimator: Kepler's socket, on every node."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from estimator.choosing.catalog import Catalog
from estimator.kepler_socket.socket_server import EstimatorServer
from estimator.settings import EXPORT_SETTINGS, Settings

if TYPE_CHECKING:
    from estimator.choosing.model_cache import ModelCache
    from estimator.kepler_socket.answering import Models
    from estimator.kepler_socket.socket_server import Exported
    from estimator.storage.model_source import ModelSource
    from estimator.system.machine_watch import MachineWatch

ELSEWHERE = ("models", "models_interval")
"""What says where models come from that are not in the store."""
SETTINGS = (
    *("data", "store", "socket", "socket_mode", "procfs", "sysfs", "refresh_interval"),
    *(*ELSEWHERE, "imported", "socket_owner", "socket_group", "metrics_port"),
    *(*EXPORT_SETTINGS, "node", "interval"),
)

_log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Answer Kepler's power requests at the socket, by models of the store or a model server."""
    from estimator.kepler_socket.socket_server import serve

    serve(lone_estimator(settings))
    return 0


def lone_estimator(settings: Settings) -> EstimatorServer:
    """The estimator that the settings describe as a process of its own, not yet bound.

    Models that come from afar, a model server or a bucket, are kept in the data folder.
    """
    from estimator.choosing.nearby import NearbyModels

    watch = _watch(settings)
    nearby = NearbyModels(_source(settings), watch.machine)
    watch.tell(nearby.move)
    source: ModelSource = nearby
    cache = None
    if settings.models or not settings.store_url.startswith("file:"):
        source = cache = _cache(settings, source)
    seconds = settings.models_interval if settings.models else settings.refresh_interval
    return make_estimator(settings, Catalog(source), cache, watch, seconds)


def make_estimator(
    settings: Settings,
    models: Catalog,
    cache: ModelCache | None = None,
    watch: MachineWatch | None = None,
    refresh_seconds: float | None = None,
) -> EstimatorServer:
    """The estimator of these models, not yet bound."""
    from estimator.kepler_socket.answering import Answerer
    from estimator.kepler_socket.counts import Counts
    from estimator.kepler_socket.model_feed import ModelFeed
    from estimator.kepler_socket.socket_path import access
    from estimator.published.imported import ImportedModels
    from estimator.system.meters import missing_meters

    watch = watch or _watch(settings)
    counts = Counts()
    imported = ImportedModels(settings.imported_folder, watch.machine)
    answerer = Answerer(
        models,
        watch.machine,
        fallback=imported,
        unmetered=missing_meters(),
        guest=_is_guest(settings),
    )
    watch.tell(answerer.move)
    feed = ModelFeed(models, counts, cache)

    def refresh() -> None:
        watch.look()  # first: what models may be needed depends on it
        feed.refresh()

    return EstimatorServer(
        answerer,
        settings.socket,
        refresh=refresh,
        refresh_seconds=refresh_seconds or settings.refresh_interval,
        access=access(int(settings.socket_mode, 8), settings.socket_owner, settings.socket_group),
        metrics_port=settings.metrics_port,
        export=_exported(settings, models, imported, watch) if settings.export else None,
        counts=counts,
    )


def _exported(
    settings: Settings, models: Models, imported: Models, watch: MachineWatch
) -> Exported:
    """The page of power in Kepler's series that the settings describe."""
    import socket

    from estimator.export.estimating import NodeEstimator
    from estimator.export.ledger_file import LedgerFile, boot_id
    from estimator.export.power_export import Policy, PowerExport
    from estimator.export.reading import Reader
    from estimator.export.scrape import KEPLER_URL, KeplerScrape
    from estimator.kepler_socket.socket_server import Exported
    from estimator.system.meters import missing_meters

    proc, sysfs, said = Path(settings.procfs), Path(settings.sysfs), settings.export_kepler
    kepler = None if said == "none" else KeplerScrape(said or KEPLER_URL)
    export = PowerExport(
        Reader(kepler, proc, sysfs, certain=bool(kepler and said)),
        NodeEstimator(
            models,
            watch.machine,
            fallback=imported,
            unmetered=missing_meters(sysfs),
            guest=_is_guest(settings),
        ),
        watch,
        LedgerFile(Path(settings.data) / "export" / "joules.json", boot_id(proc)),
        Policy(
            settings.node,
            socket.gethostname(),
            settings.confidence_threshold,
            settings.low_confidence == "disable",
        ),
        settings.interval,
        proc=proc,
        sysfs=sysfs,
    )
    return Exported(export, settings.export_address)


def _source(settings: Settings) -> ModelSource:
    from estimator.storage.model_store import ModelStore
    from estimator.storage.store import open_store

    if settings.models:
        from estimator.storage.remote_models import RemoteModels

        return RemoteModels(settings.models)
    return ModelStore(open_store(settings.store_url))


def _cache(settings: Settings, source: ModelSource) -> ModelCache:
    """A cache in the data folder; where that cannot be written, one in memory."""
    from estimator.choosing.model_cache import ModelCache
    from estimator.errors import StoreError
    from estimator.storage.store import InMemoryStore, open_store

    folder = Path(settings.data) / "estimator"
    try:
        return ModelCache(source, open_store(f"file:{folder}"))
    except StoreError as error:
        _log.warning("models are not kept for the next start: %s", error)
        return ModelCache(source, InMemoryStore())


def _is_guest(settings: Settings) -> bool:
    from estimator.system.guest import is_guest

    return is_guest(Path(settings.procfs), Path(settings.sysfs))


def _watch(settings: Settings) -> MachineWatch:
    from estimator.system.discovery import discover_machine
    from estimator.system.machine_watch import MachineWatch

    proc, sysfs = Path(settings.procfs), Path(settings.sysfs)
    return MachineWatch(discover_machine(proc, sysfs), lambda: discover_machine(proc, sysfs))
