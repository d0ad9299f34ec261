"""Samples as a table in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.commands.output import print_json
from server.commands.recorded import (
    READING,
    End,
    EnergySource,
    FeatureGroup,
    File,
    Nodes,
    Start,
    TableFile,
    recording_of,
)
from server.commands.writable import check_writable

SETTINGS = READING

EXTRACTORS = ("default", "smooth")
_SMOOTHED = 30


def run(
    settings: Settings,
    file: File = None,
    output: TableFile = Path("output.csv"),
    start: Start = None,
    end: End = None,
    nodes: Nodes = None,
    energy_source: EnergySource = None,
    feature_group: FeatureGroup = None,
    extractor: Annotated[
        str, typer.Option(help="default, or smooth: the means of 30 samples")
    ] = "default",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Write samples as a table: usage rates and mean watts of each node and interval."""
    from stream.analysis.samples_table import check_format, samples_table, smoothed, write_table
    from stream.analysis.samples_wanted import wanted_samples

    if extractor not in EXTRACTORS:
        raise MisuseError(f"--extractor is {extractor!r}: known are {', '.join(EXTRACTORS)}")
    check_format(output)
    check_writable(output)
    with recording_of(settings, file, start, end, nodes) as recording:
        samples = wanted_samples(recording, energy_source, feature_group)
    table = samples_table(samples)
    if extractor == "smooth":
        table = smoothed(table, _SMOOTHED)
    write_table(table, output)
    names = sorted({sample.node for sample in samples})
    if json:
        columns = list(table.columns)
        print_json({"file": str(output), "rows": len(table), "nodes": names, "columns": columns})
    else:
        sys.stdout.write(
            f"{len(table)} rows of {len(names)} nodes in {output}: {', '.join(table.columns)}\n"
        )
    return 0
