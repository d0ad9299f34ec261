"""What the log holds, and how far the learners have come."""

from __future__ import annotations

from typing import Annotated

import typer

from estimator.settings import KAFKA_SETTINGS, Settings
from server.commands.output import print_json, print_table

SETTINGS = ("data", "log", *KAFKA_SETTINGS)


def run(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list")] = False,
) -> int:
    """List topics by partition: offsets, what was committed, and the lag."""
    from stream.log.kafka_security import security_of
    from stream.log.open import open_log
    from stream.records import GROUP

    with open_log(settings.log_url, security_of(settings)) as log:
        committed = log.committed(GROUP)
        found = []
        for topic in log.topics():
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
                    }
                )
    if json:
        print_json(found)
        return 0
    rows = [["-" if value is None else str(value) for value in row.values()] for row in found]
    print_table(["topic", "partition", "begin", "end", "committed", "lag"], rows)
    return 0
