"""Sources to the log, nothing else: what runs on every node of a fleet."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from estimator.settings import KAFKA_SETTINGS, Settings
from server.commands.running import stopped_by_signals

_log = logging.getLogger(__name__)

SETTINGS = (
    "data",
    "log",
    "node",
    "interval",
    "sysfs",
    "procfs",
    "partitions",
    "retention_hours",
    "retention_mib",
    *KAFKA_SETTINGS,
)


def run(
    settings: Settings,
    source: Annotated[
        list[str] | None,
        typer.Option(help="What to read; several may be named. Without: what the machine has"),
    ] = None,
) -> int:
    """Read sources and publish their records; ends by itself when all are files."""
    from server import assembly
    from stream.collect import Collector
    from stream.sources.choose import automatic

    named = assembly.sources_of(source, settings) if source else None
    with (
        stopped_by_signals() as stop,
        assembly.open_topics(settings) as log,
        Collector(named or assembly.sources_of(automatic(settings), settings), log) as collector,
    ):
        while not (stop.is_set() or collector.join(0.2)):
            pass
    for status in collector.status:
        _log.info("%s: %d records, %d dropped", status.name, status.records, status.dropped)
    if collector.failure is not None:
        raise collector.failure
    return 0
