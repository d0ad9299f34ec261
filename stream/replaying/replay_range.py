"""Where in the log a replay begins and ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final

from estimator.errors import MisuseError, NotFoundError, WattstreamError
from stream.log.protocol import Log, TopicPartition
from stream.records import FUTURE_SECONDS, POWER_TOPIC, USAGE_TOPIC
from stream.replaying.replay_plan import SCHEMA, Asked, Plan, asked_times
from stream.replaying.when import format_time

MARGIN_SECONDS: Final = FUTURE_SECONDS
_LOOK_SECONDS: Final = 10.0


def make_plan(log: Log, asked: Asked, now: float) -> Plan:
    """A plan of what the log has now; records that come later do not change it.

    Offsets are found by the times of appending, with the margin at both ends, since records are
    asked for by event time. ``MisuseError`` for times that make no sense, ``WattstreamError``
    where there is nothing to replay.
    """
    start, end = asked_times(asked, now)
    margin = MARGIN_SECONDS if asked.margin is None else asked.margin
    begins = everywhere(log.begin_offsets)
    starts, ends = begins, everywhere(log.end_offsets)
    if math.isfinite(margin):
        first, last = round(start - margin * 1000), round(end + margin * 1000)
        starts = everywhere(lambda topic: log.offsets_for_time(topic, max(0, first)))
        ends = everywhere(lambda topic: log.offsets_for_time(topic, last))
    if sum(where.topic == USAGE_TOPIC for where in ends) * 2 != len(ends):
        raise WattstreamError(f"{USAGE_TOPIC} and {POWER_TOPIC} have not as many partitions")
    if all(starts[where] >= end for where, end in ends.items()):
        raise WattstreamError(_nothing(log, begins, start, end, margin))
    return Plan(
        schema=SCHEMA,
        start=start,
        end=end,
        said_start=asked.start or "",
        said_end=asked.end or "",
        nodes=sorted(set(asked.nodes or ())),
        margin=margin if math.isfinite(margin) else None,
        lateness=asked.lateness,
        experts=list(asked.experts),
        isolator=asked.isolator,
        spans={
            f"{where.topic}/{where.partition}": (starts[where], max(starts[where], end))
            for where, end in ends.items()
        },
        deleted_before=_deleted_before(log, begins, starts, start),
    )


def check_log(plan: Plan, log: Log) -> None:
    """``MisuseError`` if the log cannot be the one that the plan was made of."""
    ends = everywhere(log.end_offsets)
    for where, span in plan.offsets.items():
        if ends.get(where, -1) < span.end or len(ends) != len(plan.spans):
            raise MisuseError(
                f"the log is not the one that the replay began with: {where.topic}/"
                f"{where.partition} had {span.end} records; begin anew with --fresh"
            )


def everywhere(
    ask: Callable[[str], Mapping[TopicPartition, int]],
) -> dict[TopicPartition, int]:
    """What the log says of both topics; ``WattstreamError`` if one does not exist."""
    try:
        return {
            where: at for topic in (USAGE_TOPIC, POWER_TOPIC) for where, at in ask(topic).items()
        }
    except NotFoundError as error:
        raise WattstreamError(f"there is nothing to replay: {error}") from error


def _nothing(
    log: Log, begins: Mapping[TopicPartition, int], start: int, end: int, margin: float
) -> str:
    """Why a range has no records, and what the log has instead."""
    ends = everywhere(log.end_offsets)
    there = {where: begin for where, begin in begins.items() if begin < ends[where]}
    if not there:
        deleted = sum(begins.values())
        gone = f": retention has deleted all {deleted}" if deleted else ""
        return f"there is nothing to replay: the log has no records{gone}"
    first = _appended(log, there)
    last = _appended(log, {where: ends[where] - 1 for where in there})
    held = ""
    if first and last:
        held = (
            f"; those that it has were appended from {format_time(min(first.values()))} "
            f"to {format_time(max(last.values()))}"
        )
    return (
        f"there is nothing to replay: the log took no record from {format_time(start)} to "
        f"{format_time(end)}, nor {margin:g} s before or after that (--margin){held}"
    )


def _deleted_before(
    log: Log,
    begins: Mapping[TopicPartition, int],
    starts: Mapping[TopicPartition, int],
    start_ms: int,
) -> int | None:
    """The append time before which records of the range have been deleted, if some may have."""
    cut = {where: at for where, at in begins.items() if 0 < at == starts[where]}
    ends = everywhere(log.end_offsets)
    appended = _appended(log, {where: at for where, at in cut.items() if at < ends[where]})
    return max((at for at in appended.values() if at > start_ms), default=None)


def _appended(log: Log, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """When the messages at these offsets (or the next ones after them) were appended."""
    found: dict[TopicPartition, int] = {}
    if not offsets:
        return found
    deadline = time.monotonic() + _LOOK_SECONDS
    with closing(log.reader(offsets)) as reader:
        while len(found) < len(offsets) and time.monotonic() < deadline:
            for message in reader.poll(len(offsets), 0.5):
                where = TopicPartition(message.topic, message.partition)
                found.setdefault(where, message.appended_ms)
            reader.pause(sorted(found))
    return found
