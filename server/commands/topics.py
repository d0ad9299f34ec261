"""What the log holds, and how far the learners have come."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import typer

from estimator.settings import KAFKA_SETTINGS, Settings
from server.commands import topics_dead, topics_redrive
from server.commands.output import print_json, print_table

if TYPE_CHECKING:
    from stream.log.protocol import Log, TopicPartition

SETTINGS = ("data", "log", *KAFKA_SETTINGS)
SUBCOMMANDS = {"dead": topics_dead.run, "redrive": topics_redrive.run}

COUNTED: Final = 10_000
"""Dead letters are counted by partition if at most so many have to be read for it."""


def run(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list")] = False,
) -> int:
    """List topics by partition: offsets, what was committed, the lag, and dead letters."""
    from stream.letters import dead_letter_box
    from stream.log.kafka_security import security_of
    from stream.log.open import open_log
    from stream.records import DEAD_TOPIC, GROUP

    with open_log(settings.log_url, security_of(settings)) as log:
        topics = log.topics()
        committed = log.committed(GROUP)
        if DEAD_TOPIC in topics:
            committed |= log.committed(dead_letter_box.GROUP)
        dead = _dead_letters(log, topics)
        found = []
        for topic in topics:
            begin, end = log.begin_offsets(topic), log.end_offsets(topic)
            for place in sorted(end):
                at = committed.get(place)
                found.append(
                    {
                        "topic": topic,
                        "partition": place.partition,
                        "begin": begin[place],
                        "end": end[place],
                        "committed": at,
                        "lag": None if at is None else end[place] - at,
                        "dead": None if dead is None else dead[place],
                    }
                )
    if json:
        print_json(found)
        return 0
    rows = [["-" if value is None else str(value) for value in row.values()] for row in found]
    print_table(["topic", "partition", "begin", "end", "committed", "lag", "dead"], rows)
    return 0


def _dead_letters(log: Log, topics: list[str]) -> Counter[TopicPartition] | None:
    """How many letters wait, by the partition that they came from; None if they are too many."""
    from stream.letters.dead_letter_box import DeadLetterBox
    from stream.records import DEAD_TOPIC

    if DEAD_TOPIC not in topics:
        return Counter()
    box = DeadLetterBox(log)
    if box.unread > COUNTED:
        sys.stderr.write(
            f"wattstream: {box.unread} messages are in {DEAD_TOPIC}, too many to count by"
            " partition; wattstream topics dead shows them\n"
        )
        return None
    return Counter(box.waiting.values())
