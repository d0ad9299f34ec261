"""Sources to the log, nothing else: what runs on every node of a fleet."""

from __future__ import annotations

import logging
import threading
from typing import Annotated

import typer

from estimator.settings import Settings
from server.commands.running import wait_for_signal

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
    from stream.sources.choose import automatic

    stop = threading.Event()
    with assembly.open_topics(settings) as log:
        collector = assembly.make_collector(
            source or (), settings, log, lambda: automatic(settings)
        )

        def stop_when_finished() -> None:
            collector.join()
            stop.set()

        with collector:
            threading.Thread(target=stop_when_finished, daemon=True).start()
            wait_for_signal(stop)
    for status in collector.status:
        _log.info("%s: %d records, %d dropped", status.name, status.records, status.dropped)
    if collector.failure is not None:
        raise collector.failure
    return 0
