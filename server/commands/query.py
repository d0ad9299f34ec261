"""A stretch of time out of Prometheus, into a file or into the topics."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.errors import MisuseError
from estimator.settings import KAFKA_SETTINGS, Settings
from server.commands.output import print_json, print_table
from server.commands.pace import shown
from server.commands.running import INTERRUPTED, stopped_by_signals

if TYPE_CHECKING:
    from stream.analysis.prometheus_query import Asked, Taken

_log = logging.getLogger(__name__)

SETTINGS = (
    "data",
    "log",
    "node",
    "partitions",
    "retention_hours",
    "retention_mib",
    "buffer_records",
    *KAFKA_SETTINGS,
)


def run(
    settings: Settings,
    server: Annotated[
        str, typer.Option("--server", "-s", envvar="PROM_SERVER", help="URL of Prometheus")
    ] = "http://localhost:9090",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; without --topics output.json"),
    ] = None,
    start: Annotated[
        str,
        typer.Option("--start-time", "--from", help="First time: ISO 8601, Unix seconds, -7d"),
    ] = "",
    end: Annotated[
        str, typer.Option("--end-time", "--to", help="Time to stop before, said alike; else now")
    ] = "",
    interval: Annotated[
        float, typer.Option(help="Seconds before the end, where no start is said", min=1.0)
    ] = 300.0,
    step: Annotated[
        float,
        typer.Option(help="Seconds from point to point; 0: the points as they were scraped", min=0),
    ] = 0.0,
    metric_prefix: Annotated[
        str, typer.Option(help="What names of metrics begin with")
    ] = "kepler_",
    thirdparty_metrics: Annotated[
        str, typer.Option("--thirdparty-metrics", "-tm", help="Other metrics, too, by commas")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All metrics of the prefix, also those nothing reads")
    ] = False,
    chunk: Annotated[
        float,
        typer.Option(help="Seconds that one query asks for at most; less if refused", min=1.0),
    ] = 3600.0,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a bearer token for Prometheus")
    ] = None,
    topics: Annotated[
        bool, typer.Option("--topics", help="Append it to the log as records (--node may name it)")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Take what Prometheus has of Kepler in a stretch of time, in as many queries as it takes."""
    from stream.analysis.prometheus_query import Asked, asked_span

    if step and step < 0.001:
        raise MisuseError(f"--step is {step}: 0.001 or more is needed")
    span = asked_span(start, end, interval, time.time())
    more = tuple(name.strip() for name in thirdparty_metrics.split(",") if name.strip())
    asked = Asked(*span, step, chunk, metric_prefix, more, everything)
    with stopped_by_signals() as stop, tempfile.TemporaryDirectory() as folder:
        path = output or (Path(folder) / "answer.json" if topics else Path("output.json"))
        taken = _take(server, token_file, asked, path, stop)
        if taken is None:
            return INTERRUPTED
        if taken.nameless:
            _log.warning(
                "%d series name no node (by instance, node_name or the like): they are of node "
                "'unknown' unless --node says otherwise",
                taken.nameless,
            )
        records = _collect(settings, path, stop) if topics else None
    _report(taken, None if topics and output is None else path, records, json=json)
    return INTERRUPTED if stop.is_set() else 0


def _take(
    server: str, token_file: Path | None, asked: Asked, path: Path, stop: threading.Event
) -> Taken | None:
    from stream.analysis.prometheus_api import Prometheus
    from stream.analysis.prometheus_query import take

    with (
        Prometheus(server, _token(token_file)) as prometheus,
        shown(f"asking {prometheus.shown}", "seconds of metrics") as show,
    ):
        taken = take(prometheus, asked, path, show, stop)
    if taken is None:
        _log.warning("interrupted: nothing was written")
    return taken


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"--token-file is {path}: {error}") from error


def _collect(settings: Settings, path: Path, stop: threading.Event) -> int:
    """Append the file's records to the log, by the way of every source; how many it took."""
    from server import assembly
    from stream.sources.prometheus_json import PrometheusJsonSource

    source = PrometheusJsonSource(path, settings.node or None)
    with assembly.log_of(settings) as log:
        if not assembly.wait_for_topics(settings, log, stop, lambda _: None):
            return 0
        with assembly.make_collector(settings, [source], log) as collector:
            while not (stop.is_set() or collector.join(0.2)):
                pass
    if collector.failure is not None:
        raise collector.failure
    (status,) = collector.status
    if status.refused:
        _log.warning("the log refused %d records", status.refused)
    return status.records


def _report(taken: Taken, path: Path | None, records: int | None, *, json: bool) -> None:
    found = {
        "file": None if path is None else str(path),
        "metrics": taken.series,
        "points": taken.points,
        "queries": taken.queries,
        "records": records,
    }
    if json:
        print_json(found)
        return
    print_table(["metric", "series"], [[name, str(n)] for name, n in taken.series.items()])
    places = [] if path is None else [f"in {path}"]
    places += [] if records is None else [f"as {records} records in the log"]
    sys.stdout.write(f"{taken.points} points of {taken.queries} queries, {', '.join(places)}\n")
