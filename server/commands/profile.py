"""How much idle machines draw: recorded once, for the isolator ``profile``."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.settings import KAFKA_SETTINGS, Settings
from server.commands.output import print_json, print_table
from server.commands.running import INTERRUPTED, stopped_by_signals

if TYPE_CHECKING:
    from estimator.isolation.profile import IdleProfile

_log = logging.getLogger(__name__)

SETTINGS = ("data", "log", "store", "lateness", *KAFKA_SETTINGS)


def run(
    settings: Settings,
    duration: Annotated[
        float, typer.Option(help="Seconds to record", min=1.0, max=86_400.0)
    ] = 300.0,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Event time to begin at, as replay's --from; without: now",
        ),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Record the beginning of this CSV file, not the log")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list")] = False,
) -> int:
    """Record what machines draw that have nothing to do, and keep it by node type."""
    import msgspec

    from estimator.isolation.profile import StoredProfiles
    from server import assembly
    from stream.analysis.idle_recording import record_source, restless
    from stream.sources.trace import TraceSource

    store = assembly.store_of(settings)
    with stopped_by_signals() as stop:
        if trace is not None:
            found = record_source(TraceSource(trace), duration, settings.lateness)
        else:
            recorded = _of_log(settings, start, duration, stop)
            if recorded is None:
                return INTERRUPTED
            found = recorded
    profiles = StoredProfiles(store)
    for profile in found:
        path = profiles.put(profile)
        _log.info("%s is in %s", path, settings.store_url)
        for what in restless(profile):
            _log.warning("%s was not idle: %s", profile.node_type, what)
    if json:
        print_json([msgspec.to_builtins(profile) for profile in found])
        return 0
    rows = [
        [
            *(profile.node_type, source, component, str(one.samples)),
            *(f"{watts:.2f}" for watts in (one.min, one.max, one.background)),
        ]
        for profile in found
        for source, ranges in profile.sources.items()
        for component, one in ranges.items()
    ]
    columns = ["node type", "source", "component", "samples", "min W", "max W", "background W"]
    print_table(columns, rows, f"idle profiles in {settings.store_url}")
    return 0


def _of_log(
    settings: Settings, start: str | None, duration: float, stop: threading.Event
) -> list[IdleProfile] | None:
    """What the log has of that time, once it is over; None if it was stopped before."""
    from server import assembly
    from stream.analysis.idle_recording import record_idle
    from stream.log.window import WindowLog
    from stream.replaying.replay_plan import Asked
    from stream.replaying.replay_range import make_plan
    from stream.replaying.selection import Selection
    from stream.replaying.when import parse_time

    now = time.time()
    begin = round(now * 1000) if start is None else parse_time(start, now)
    end = begin + round(duration * 1000)
    # What is late may still come, and meters speak of an interval after it.
    wait = end / 1000 + settings.lateness - now
    if wait > 0:
        _log.info("recording for %.0f s: leave the machines idle", wait)
        if stop.wait(wait):
            return None
    asked = Asked(
        start=f"{begin / 1000:.3f}",
        end=f"{end / 1000:.3f}",
        lateness=settings.lateness,
        experts=(),
    )
    with assembly.log_of(settings) as log:
        window = WindowLog(log, make_plan(log, asked, time.time()).offsets)
        return record_idle(window, Selection(begin, end).read, settings.lateness)
