"""The dead letters: what could not be read, as it was, and why."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from estimator.errors import MisuseError
from estimator.settings import Settings
from server.commands.output import print_json

if TYPE_CHECKING:
    from stream.letters.redrive import Choice

Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help="Only letters with a reason of this kind")
]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only letters from this topic")]
Nodes = Annotated[
    list[str] | None, typer.Option("--node", help="Only letters of this node (the record's key)")
]


def run(
    settings: Settings,
    kind: Kinds = None,
    topic: Topics = None,
    node: Nodes = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also letters that have been redriven")
    ] = False,
) -> int:
    """Print dead letters with their original values, one JSON object a line."""
    from stream.letters.dead_letter_box import DeadLetterBox
    from stream.letters.letter_lines import letter_line
    from stream.log.kafka_security import security_of
    from stream.log.open import open_log

    chosen = choice(kind, topic, node)
    with open_log(settings.log_url, security_of(settings)) as log:
        for letter in DeadLetterBox(log).letters(again=all_):
            if chosen.has(letter):
                print_json(letter_line(letter))
    return 0


def choice(
    kinds: Collection[str] | None, topics: Collection[str] | None, nodes: Collection[str] | None
) -> Choice:
    """The letters that the flags mean; ``MisuseError`` if there can be none like that."""
    from stream.letters.dead_letters import REASON_KINDS
    from stream.letters.redrive import Choice
    from stream.records import POWER_TOPIC, USAGE_TOPIC

    _known("--kind", kinds, (*REASON_KINDS, "other"))
    _known("--topic", topics, (USAGE_TOPIC, POWER_TOPIC))
    return Choice(kinds or (), topics or (), nodes or ())


def _known(flag: str, given: Collection[str] | None, known: Collection[str]) -> None:
    for word in given or ():
        if word not in known:
            raise MisuseError(f"{flag} is {word!r}; known are {', '.join(known)}")
