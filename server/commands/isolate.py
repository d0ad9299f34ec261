"""Samples of power above idle as a table in a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.errors import MisuseError
from estimator.settings import ISOLATION_SETTINGS, Settings
from server.commands.output import print_json, print_table
from server.commands.recorded import (
    READING,
    End,
    EnergySource,
    File,
    Nodes,
    Start,
    TableFile,
    recording_of,
)
from server.commands.writable import check_writable

if TYPE_CHECKING:
    from estimator.isolation.isolator import Isolator

SETTINGS = (*READING, "store", *ISOLATION_SETTINGS)


def run(
    settings: Settings,
    file: File = None,
    output: TableFile = Path("output.csv"),
    start: Start = None,
    end: End = None,
    nodes: Nodes = None,
    energy_source: EnergySource = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="Recording of idle machines, for the isolator profile; else the store's"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> int:
    """Write samples of power above idle as a table; --isolator says what is subtracted."""
    from server import assembly
    from stream.analysis.isolation_of_samples import isolate
    from stream.analysis.samples_table import check_format, samples_table, write_table
    from stream.analysis.samples_wanted import wanted_samples
    from stream.learning.pools import pool

    check_format(output)
    check_writable(output)
    if profile is not None:
        isolator = _recorded(settings, profile)
    elif settings.isolator == "profile":
        isolator = assembly.isolator_of(settings, assembly.store_of(settings))
    else:
        isolator = assembly.isolator_of(settings)
    with recording_of(settings, file, start, end, nodes) as recording:
        isolator = _named(isolator, recording.names)
        samples = wanted_samples(recording, energy_source, isolator=isolator)
    # A ridge is enough to say what idle machines and background workloads draw.
    found = isolate(samples, pool(("ridge",)), isolator)
    write_table(samples_table(found.samples), output)
    if json:
        print_json(
            {
                "file": str(output),
                "isolator": isolator.word,
                "samples": len(found.samples),
                "left_out": found.left_out,
                "levels": [level._asdict() for level in found.levels],
            }
        )
        return 0
    rows = [
        [one.node_type, one.source, one.component, f"{one.watts:.2f}", str(one.samples)]
        for one in found.levels
    ]
    columns = ["node type", "source", "component", "W subtracted", "samples"]
    print_table(columns, rows, f"isolator {isolator.word}")
    sys.stdout.write(f"{len(found.samples)} samples in {output}, {found.left_out} left out\n")
    return 0


def _named(isolator: Isolator, names: Mapping[str, str]) -> Isolator:
    """The isolator with hints that are looked for in workloads' names, not in their ids alone."""
    from estimator.isolation.isolator import TrainerIsolator
    from server.training.isolation import NamedHints

    hints = isolator.hints
    if hints is None:
        return isolator
    return TrainerIsolator(NamedHints(names, hints.background, hints.target))


def _recorded(settings: Settings, path: Path) -> Isolator:
    """The isolator ``profile``, of what that recording has of idle machines."""
    from estimator.isolation.choose import make_isolator
    from stream.analysis.idle_recording import IdleRecorder
    from stream.analysis.recording import FileRecording

    if settings.isolator != "profile":
        raise MisuseError(f"--profile is {path}: isolator {settings.isolator!r} needs none")
    recorder = IdleRecorder()
    for sample in FileRecording(path, lateness_seconds=settings.lateness).samples():
        recorder.learn_one(sample)
    return make_isolator("profile", {}, {found.node_type: found for found in recorder.profiles()})
