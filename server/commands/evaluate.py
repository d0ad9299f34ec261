"""A recorded trace, test-then-train, by the very path that live data take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.commands.errors_table import ERROR_COLUMNS, error_cells
from server.commands.output import print_json, print_table, progress

SETTINGS = ("experts",)


def run(
    settings: Settings,
    trace: Annotated[Path, typer.Argument(help="CSV file: timestamp, features, *_power in watts")],
    features: Annotated[
        str | None, typer.Option(help="Columns to learn from, separated by commas; else all known")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Say how wrong models are on a recorded trace: every sample is predicted, then learned."""
    from stream.evaluate import evaluate
    from stream.pools import pool
    from stream.sources.trace import TraceSource

    named = _named(features)
    source = TraceSource(trace, features=named)
    groups = {"trace": tuple(sorted(source.features))}
    with progress(f"learning {trace}") as show:
        found = evaluate(source, pool(settings.experts, groups), show)
    if json:
        print_json(found)
    else:
        _print(found, trace)
    return 0


def _named(features: str | None) -> list[str] | None:
    if features is None:
        return None
    named = [name.strip() for name in features.split(",") if name.strip()]
    if not named:
        raise MisuseError(f"--features is {features!r}: it names no column")
    return list(dict.fromkeys(named))


def _print(found: dict[str, Any], trace: Path) -> None:
    rows = [[name, *error_cells(errors)] for name, errors in found["components"].items()]
    title = f"{trace}: next-sample errors, then served MAE in W by model age"
    print_table(["component", *ERROR_COLUMNS], rows, title)
    pace = found["samples_per_second"]
    sys.stdout.write(f"{found['samples']} samples in {found['seconds']} s, {pace} a second\n")
