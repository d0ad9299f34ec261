"""The README of exported models: what machines they are of, and how wrong they were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from estimator.choosing.choice import Entry

_HORIZONS: Final = {"0": "next sample", "300": "300 s old"}


class Kept(NamedTuple):
    """A model that is exported: its node type's number, and the trainers of its weights."""

    entry: Entry
    number: int
    trainers: list[str]


def readme(name: str, publisher: str, collected: str, kept: Sequence[Kept]) -> str:
    """Markdown: machines, errors by component, and how to use the folder."""
    lines = [f"# {name}", ""]
    about = [f"Published by {publisher}." if publisher else "", _when(collected, kept)]
    lines += [" ".join(part for part in about if part), ""]
    lines += [
        "Weights that Kepler can read, from models that learned continuously. Start with them:",
        "",
        "```sh",
        f"wattstream models import {name}",
        f"WATTSTREAM_INITIAL_PIPELINE_URL={name} wattstream serve",
        "```",
        "",
        "## Machines",
        "",
        "| node type | processor | cores | chips | memory GiB | frequency MHz |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    machines = {one.number: one.entry.manifest.machine for one in kept}
    lines += [
        f"| {number} | {m.processor or 'unknown'} | {m.cores} | {m.chips} | {m.memory} "
        f"| {m.frequency} |"
        for number, m in sorted(machines.items())
    ]
    lines += [
        "",
        "## Errors",
        "",
        "Of the whole models, each sample predicted before it was learned. The weights are lines "
        "(and curves) cut out of them, and err more where power is no straight line of usage.",
        "",
        "| node type | source | output | feature group | component | weights | samples "
        + "".join(f"| MAE W, {age} | MAPE %, {age} " for age in _HORIZONS.values())
        + "|",
        "| ---: | --- | --- | --- | --- | --- | ---: " + "| ---: " * 2 * len(_HORIZONS) + "|",
    ]
    for one in kept:
        lines += _rows(one)
    return "\n".join(lines) + "\n"


def _rows(one: Kept) -> list[str]:
    manifest = one.entry.manifest
    key = manifest.key
    rows = []
    for component in manifest.components:
        errors = manifest.errors.get(component, {})
        cells = [
            _number(errors.get(horizon, {}).get(measure))
            for horizon in _HORIZONS
            for measure in ("mae", "mape")
        ]
        rows.append(
            f"| {one.number} | {key.source} | {key.output_type} | {key.feature_group} "
            f"| {component} | {', '.join(one.trainers)} | {manifest.samples} "
            f"| {' | '.join(cells)} |"
        )
    return rows


def _when(collected: str, kept: Sequence[Kept]) -> str:
    if collected:
        return f"Collected {collected}."
    since = min(one.entry.manifest.since for one in kept)
    until = max(one.entry.manifest.at for one in kept)
    return f"Learned from {_time(since)} to {_time(until)} (UTC)."


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, tz=UTC):%Y-%m-%d %H:%M}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
