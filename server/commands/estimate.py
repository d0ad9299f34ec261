"""The estimator: Kepler's socket, on every node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from estimator.catalog import Catalog
from estimator.settings import Settings
from estimator.socket_server import EstimatorServer

if TYPE_CHECKING:
    from estimator.machine import MachineSpec

SETTINGS = ("data", "store", "socket", "socket_mode", "procfs", "sysfs", "refresh_interval")


def run(settings: Settings) -> int:
    """Answer Kepler's power requests at the socket, by the models in the store."""
    from estimator.model_store import ModelStore
    from estimator.socket_server import serve
    from estimator.store import open_store

    models = Catalog(ModelStore(open_store(settings.store_url)))
    serve(make_estimator(settings, models))
    return 0


def make_estimator(settings: Settings, models: Catalog) -> EstimatorServer:
    """The estimator that the settings describe, not yet bound."""
    from estimator.answering import Answerer

    return EstimatorServer(
        Answerer(models, _machine(settings)),
        settings.socket,
        refresh=models.refresh,
        refresh_seconds=settings.refresh_interval,
        mode=int(settings.socket_mode, 8),
    )


def _machine(settings: Settings) -> MachineSpec:
    from estimator.discovery import discover_machine

    return discover_machine(Path(settings.procfs), Path(settings.sysfs))
