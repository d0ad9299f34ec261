"""A stretch of the log once more, into models of their own."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estimator.errors import MisuseError
from estimator.settings import ISOLATION_SETTINGS, KAFKA_SETTINGS, Settings
from estimator.storage.namespaces import check_namespace, in_namespace
from server.commands.errors_table import ERROR_COLUMNS, error_cells
from server.commands.output import print_json, print_table
from server.commands.pace import shown
from server.commands.running import INTERRUPTED, stopped_by_signals

if TYPE_CHECKING:
    from stream.replaying.replay_plan import Plan

_log = logging.getLogger(__name__)

SETTINGS = (
    "data",
    "log",
    "store",
    "lateness",
    "commit_interval",
    "experts",
    *ISOLATION_SETTINGS,
    *KAFKA_SETTINGS,
)

_KEY = ("node_type", "source", "output_type", "feature_group")


def run(
    settings: Settings,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="First event time: ISO 8601 (UTC unless it names a zone), Unix seconds, -7d, now",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Event time to stop before, said in the same ways")
    ] = None,
    nodes: Annotated[
        list[str] | None,
        typer.Option(help="Names or patterns (worker-*), separated by commas; without: all nodes"),
    ] = None,
    into: Annotated[
        str | None, typer.Option(help="Namespace of the models; without: made of the times")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Seconds by which records may have come earlier or later than their event time"
            " (3600; inf: read all the log)",
            min=0.0,
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete what the namespace has, and begin anew")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one object")] = False,
) -> int:
    """Learn a stretch of the log anew, apart from live learners and models, and report."""
    from server import assembly
    from stream.analysis.replay_report import check_learned, replay_report
    from stream.learning.pools import pool
    from stream.learning.worker import relax_garbage_collection
    from stream.replaying.replay import plan_of
    from stream.replaying.replay_plan import Asked, default_name

    asked = Asked(
        start=start,
        end=end,
        nodes=_patterns(nodes),
        margin=margin,
        lateness=settings.lateness,
        experts=settings.experts,
        isolator=assembly.isolator_of(settings).word,
    )
    pool(settings.experts)  # Before anything is kept: a wrong word must leave no trace.
    now = time.time()
    name = default_name(asked, now) if into is None else check_namespace(into)
    relax_garbage_collection()
    with (
        stopped_by_signals() as stop,
        assembly.only_replay(settings, name),
        assembly.log_of(settings) as log,
    ):
        part = in_namespace(assembly.store_of(settings), name)
        plan = plan_of(part, log, asked, now, fresh=fresh)
        replay = assembly.make_replay(settings, plan, log, part, stop)
        _begin(plan, name, replay.done, replay.total)
        with shown(f"replay into {name}") as show:
            ended = replay.run(show)
    if not ended:
        _log.warning(
            "interrupted with %d of %d records done; to go on: wattstream replay --into %s",
            *(replay.done, replay.total, name),
        )
        return INTERRUPTED
    report = replay_report(name, plan, replay.shards)
    check_learned(report, replay.selection.outside.words)
    if json:
        print_json(report)
    else:
        _print(report)
    _log.info("its models: wattstream models --namespace %s (or: models promote %s)", name, name)
    return 0


def _patterns(nodes: list[str] | None) -> tuple[str, ...] | None:
    if nodes is None:
        return None
    found = tuple(part.strip() for one in nodes for part in one.split(",") if part.strip())
    if not found:
        raise MisuseError(f"--nodes is {','.join(nodes)!r}: it names no node")
    return found


def _begin(plan: Plan, name: str, done: int, total: int) -> None:
    from stream.replaying.when import format_time

    _log.info(
        "replaying %s to %s into namespace %s: %d records around that time%s",
        *(format_time(plan.start), format_time(plan.end), name, total),
        f", {done} of them done before" if done else "",
    )
    if plan.deleted_before is not None:
        _log.warning(
            "retention has deleted records of that time: of what was appended before %s, some or "
            "all is missing",
            format_time(plan.deleted_before),
        )


def _print(report: dict[str, Any]) -> None:
    rows = [
        [*(model[name] for name in _KEY), component, str(model["samples"]), *error_cells(errors)]
        for model in report["models"]
        for component, errors in model["components"].items()
    ]
    title = (
        f"{report['from']} to {report['to']}, namespace {report['namespace']}: "
        f"next-sample errors, then served MAE in W by model age"
    )
    columns = ["node type", "source", "output", "group", "component", "samples", *ERROR_COLUMNS]
    print_table(columns, rows, title)
    for line in _summary(report):
        sys.stdout.write(line + "\n")


def _summary(report: dict[str, Any]) -> list[str]:
    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"

    lines = [
        f"{report['samples']} samples of {report['records']} records; read {report['read']}",
        f"left out: {listed(report['left_out'])}; dropped: {listed(report['dropped'])}",
        f"unreadable: {listed(report['dead'])}; deleted before they were read: "
        f"{report['skipped'] or 'none'}",
    ]
    if report["deleted_before"]:
        lines.append(f"deleted by retention: records appended before {report['deleted_before']}")
    return lines
