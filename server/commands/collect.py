"""Sources to the log, nothing else: what runs on every node of a fleet."""

from __future__ import annotations

import logging
from contextlib import ExitStack
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
    "metrics_port",
    "buffer_records",
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
    from server.monitoring.side_app import shown
    from server.monitoring.watching import Watcher
    from stream.sources.choose import automatic

    named = assembly.sources_of(source, settings) if source else None
    with ExitStack() as parts:
        stop = parts.enter_context(stopped_by_signals())
        log = parts.enter_context(assembly.log_of(settings))
        watcher = Watcher(log)
        parts.enter_context(shown(settings, watcher))
        if not assembly.wait_for_topics(settings, log, stop, watcher.wait_for):
            return 0
        sources = named or assembly.sources_of(automatic(settings), settings)
        collector = assembly.make_collector(settings, sources, log)
        watcher.collector = parts.enter_context(collector)
        while not (stop.is_set() or collector.join(0.2)):
            pass
    for status in collector.status:
        _log.info(
            "%s: %d records, %d dropped, %d refused, %d unsure",
            status.name,
            status.records,
            status.dropped,
            status.refused,
            status.unsure,
        )
    if collector.failure is not None:
        raise collector.failure
    return 0
