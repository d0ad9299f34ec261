"""What is there in a file or in the log, and what may keep models from being good."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.settings import Settings
from server.commands.output import print_json, print_table
from server.commands.recorded import READING, End, File, Nodes, Start, recording_of

if TYPE_CHECKING:
    from stream.analysis.validation import Finding

SETTINGS = READING

_COLUMNS = (
    *("node", "of", "series", "readings", "every s", "first (UTC)", "last (UTC)"),
    *("gaps", "longest s", "zero %", "resets", "least", "mean", "most"),
)


def run(
    settings: Settings,
    file: File = None,
    start: Start = None,
    end: End = None,
    nodes: Nodes = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Say what was recorded: readings, zeros, gaps and resets; status 1 if it is of no use."""
    from stream.analysis.validation import Validator, worth_a_look

    validator = Validator()
    with recording_of(settings, file, start, end, nodes) as recording:
        played = recording.play(lambda _sample: None, validator.see)
        name = recording.name
    findings = validator.findings()
    remarks = worth_a_look(findings)
    if json:
        print_json(
            {
                "samples": played.samples,
                "counts": played.counts,
                "unreadable": played.dead,
                "series": [found._asdict() for found in findings],
                "remarks": remarks,
            }
        )
    else:
        title = f"{name}: rates per second, and W of meters"
        print_table(_COLUMNS, [_cells(found) for found in findings], title)
        sys.stdout.write(f"{played.samples} samples; {played.words}\n")
        for remark in remarks:
            sys.stdout.write(f"{remark}\n")
    if not played.samples:
        sys.stderr.write(f"wattstream: {name}: nothing can be learned: {played.words}\n")
        return 1
    return 0


def _cells(found: Finding) -> list[str]:
    zeros = f"{100 * found.zeros / found.intervals:.1f}" if found.intervals else "-"
    return [
        *(found.node, found.of, found.name, str(found.readings)),
        *("-" if found.every is None else f"{found.every:.3g}", _time(found.first)),
        *(_time(found.last), str(found.gaps), f"{found.longest:g}", zeros, str(found.resets)),
        *(_number(found.least), _number(found.mean), _number(found.most)),
    ]


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, tz=UTC):%Y-%m-%d %H:%M:%S}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
