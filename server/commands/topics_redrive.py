"""Dead letters back to where they came from: those that can be read by now, or repaired ones."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from estimator.errors import MisuseError, WattstreamError
from estimator.settings import Settings
from server.commands.output import print_json, print_table
from server.commands.topics_dead import Kinds, Nodes, Topics, choice

if TYPE_CHECKING:
    from stream.letters.dead_letter_box import Letter

_SAID: Final = 20
"""So many letters that were not sent are named, when none of them was asked for by name."""


def run(
    settings: Settings,
    repaired: Annotated[
        str | None,
        typer.Option("--from", help="Repaired letters: a file of JSON lines, - for stdin"),
    ] = None,
    kind: Kinds = None,
    topic: Topics = None,
    node: Nodes = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also letters that have been redriven before")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list")] = False,
) -> int:
    """Send dead letters back to their topics: those that can be read by now, or repaired ones."""
    from stream.letters.dead_letter_box import DeadLetterBox
    from stream.letters.redrive import FATES, Redriver
    from stream.log.kafka_security import security_of
    from stream.log.open import open_log

    chosen = choice(kind, topic, node)
    values = None if repaired is None else _read(repaired)
    said = _Said(None if values is not None else _SAID)
    with open_log(settings.log_url, security_of(settings)) as log:
        redriver = Redriver(
            log, DeadLetterBox(log), clock=time.time, tell=said.not_sent, dry_run=dry_run
        )
        met = redriver.run(chosen, values, again=again)
    said.end()
    found = [
        {"topic": name, **{fate: counts[fate] for fate in FATES}}
        for name, counts in sorted(redriver.counts.items())
    ]
    if json:
        print_json(found)
    else:
        print_table(["topic", *FATES], [[str(cell) for cell in row.values()] for row in found])
    if values is not None:
        _complain(values, met, sum(counts["redriven"] for counts in redriver.counts.values()))
    return 0


def _read(origin: str) -> dict[str, bytes]:
    from stream.letters.letter_lines import read_repaired

    if origin == "-":
        return read_repaired(sys.stdin.buffer, "standard input")
    try:
        with Path(origin).open("rb") as lines:
            return read_repaired(lines, origin)
    except OSError as error:
        raise MisuseError(f"--from {origin}: {error.strerror}") from error


def _complain(values: dict[str, bytes], met: set[str], sent: int) -> None:
    """Whoever names letters wants all of them sent."""
    for name in values:
        if name not in met:
            sys.stderr.write(
                f"wattstream: letter {name}: there is none that waits and was chosen"
                " (--again admits those that have been redriven)\n"
            )
    if sent < len(values):
        raise WattstreamError(f"{len(values) - sent} of {len(values)} letters were not redriven")


class _Said:
    """Names on standard error the letters that were not sent, at most so many."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._count = 0

    def not_sent(self, letter: Letter, why: str) -> None:
        """Say why a letter was not sent."""
        self._count += 1
        if self._most is None or self._count <= self._most:
            dead = letter.dead
            where = f"{dead.topic}/{dead.partition} at {dead.offset}"
            sys.stderr.write(f"wattstream: letter {letter.name} ({where}) stays: {why}\n")

    def end(self) -> None:
        """Say how many were not named."""
        if self._most is not None and self._count > self._most:
            sys.stderr.write(f"wattstream: and {self._count - self._most} more\n")
