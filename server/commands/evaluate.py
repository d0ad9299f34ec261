"""A recorded trace, test-then-train, by the very path that live data take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.commands.errors_table import ERROR_COLUMNS, error_cells
from server.commands.output import print_json, print_table, progress
from server.commands.writable import check_writable

if TYPE_CHECKING:
    from stream.analysis.history import History

SETTINGS = ("experts",)


def run(
    settings: Settings,
    trace: Annotated[Path, typer.Argument(help="CSV file: timestamp, features, *_power in watts")],
    features: Annotated[
        str | None, typer.Option(help="Columns to learn from, separated by commas; else all known")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Learn it with what others do, too (extra `compare`)"),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw its course into this file (png, svg, pdf; extra `compare`)"),
    ] = None,
) -> int:
    """Say how wrong models are on a recorded trace: every sample is predicted, then learned."""
    from stream.analysis.evaluate import evaluate
    from stream.analysis.history import History
    from stream.learning.pools import pool
    from stream.sources.trace import TraceSource

    if trace.suffix == ".json":
        raise MisuseError(f"{trace}: a trace (.csv) is needed: `wattstream extract` makes one")
    if plot is not None:
        check_writable(plot, "--plot")
    named = _named(features)
    source = TraceSource(trace, features=named)
    groups = {"trace": tuple(sorted(source.features))}
    history = History() if plot is not None else None
    with progress(f"learning {trace}") as show:
        found = evaluate(source, pool(settings.experts, groups), show, history)
    if compare:
        found["baselines"] = _compared(trace, named, groups)
    if plot is not None and history is not None:
        _draw(history, plot, trace)
    if json:
        print_json(found)
    else:
        _print(found, trace)
    return 0


def _compared(
    trace: Path, named: list[str] | None, groups: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    from stream.analysis.compare import compare
    from stream.sources.trace import TraceSource

    def say(name: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"learning {trace} with {name}\n")

    return compare(lambda: TraceSource(trace, features=named), groups, say)


def _draw(history: History, path: Path, trace: Path) -> None:
    from stream.analysis.plot import plot

    for course in history.courses()[:1]:
        plot(course, path, f"{trace.name}, {course.key.source}: {len(course.seconds)} samples")


def _named(features: str | None) -> list[str] | None:
    if features is None:
        return None
    named = [name.strip() for name in features.split(",") if name.strip()]
    if not named:
        raise MisuseError(f"--features is {features!r}: it names no column")
    return list(dict.fromkeys(named))


def _print(found: dict[str, Any], trace: Path) -> None:
    others = found.get("baselines", {})
    rows = []
    for component, errors in found["components"].items():
        rows.append([component, "wattstream", *error_cells(errors)])
        for name, other in others.items():
            rows.append([component, name, *error_cells(other["components"][component])])
    columns = ["component", "model", *ERROR_COLUMNS]
    if not others:
        rows, columns = [[row[0], *row[2:]] for row in rows], ["component", *ERROR_COLUMNS]
    print_table(columns, rows, f"{trace}: next-sample errors, then served MAE in W by model age")
    pace = found["samples_per_second"]
    sys.stdout.write(f"{found['samples']} samples in {found['seconds']} s, {pace} a second\n")
