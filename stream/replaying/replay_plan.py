"""What a replay is of: fixed when it starts, kept beside what it learns, the same when resumed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from estimator.errors import DamagedError, MisuseError, NotFoundError
from estimator.storage.store import Store
from stream.log.protocol import TopicPartition
from stream.log.window import Span
from stream.records import USAGE_TOPIC
from stream.replaying.when import format_time, parse_time

SCHEMA: Final = 1
PATH: Final = "replay.json"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for; None where the replay that is there already shall decide."""

    start: str | None = None
    end: str | None = None
    nodes: tuple[str, ...] | None = None
    margin: float | None = None
    lateness: float
    experts: tuple[str, ...]
    isolator: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """Which records are learned, and how. Times in Unix ms; spans of offsets by topic/partition.

    ``margin`` (seconds) is by how much the time of appending may differ from the event time; None
    for any. Of what was appended before ``deleted_before`` retention had deleted some.
    """

    schema: int
    start: int
    end: int
    said_start: str
    said_end: str
    nodes: list[str]
    margin: float | None
    lateness: float
    experts: list[str]
    spans: dict[str, tuple[int, int]]
    deleted_before: int | None = None
    isolator: str | None = None

    @property
    def offsets(self) -> dict[TopicPartition, Span]:
        """The spans by partition."""
        found = {}
        for name, span in self.spans.items():
            topic, _, number = name.rpartition("/")
            found[TopicPartition(topic, int(number))] = Span(*span)
        return found

    @property
    def partitions(self) -> int:
        """How many partitions each topic has."""
        return sum(where.topic == USAGE_TOPIC for where in self.offsets)


class _Versioned(msgspec.Struct, frozen=True):
    schema: int


def asked_times(asked: Asked, now: float) -> tuple[int, int]:
    """From when and to when, in Unix ms; ``MisuseError`` if that makes no sense."""
    for flag, said in (("--from", asked.start), ("--to", asked.end)):
        if said is None:
            raise MisuseError(f"{flag} is needed: there is no replay that could be resumed")
    start, end = parse_time(asked.start or "", now), parse_time(asked.end or "", now)
    if start >= end:
        raise MisuseError(
            f"--from is {asked.start} ({format_time(start)}), "
            f"which is not before --to, {asked.end} ({format_time(end)})"
        )
    return start, end


def default_name(asked: Asked, now: float) -> str:
    """A namespace's name for who gives none: made of the times and the nodes."""
    times = [datetime.fromtimestamp(ms / 1000, tz=UTC) for ms in asked_times(asked, now)]
    name = "-".join(f"{at:%Y%m%dt%H%M%S}" for at in times)
    if not asked.nodes:
        return name
    return f"{name}-{hashlib.sha256(','.join(sorted(asked.nodes)).encode()).hexdigest()[:8]}"


def kept_plan(store: Store) -> Plan | None:
    """The plan of the replay that this namespace is of; None if there is none."""
    try:
        data = store.get(PATH).data
    except NotFoundError:
        return None
    try:
        schema = msgspec.json.decode(data, type=_Versioned).schema
        if schema != SCHEMA:
            raise DamagedError(f"{PATH}: schema is {schema}: this release reads {SCHEMA}")
        return msgspec.json.decode(data, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{PATH} is damaged: {error}; begin anew with --fresh") from error


def keep_plan(store: Store, plan: Plan) -> None:
    """Write a new plan; ``ConflictError`` if there is one already."""
    store.create(PATH, msgspec.json.encode(plan))


def check_same(plan: Plan, asked: Asked, now: float) -> None:
    """``MisuseError`` names what is asked for now and was not then.

    A time is the same if it is the same word ("-7d" means what it meant then) or the same time.
    """
    for flag, said, kept, word in (
        ("--from", asked.start, plan.start, plan.said_start),
        ("--to", asked.end, plan.end, plan.said_end),
    ):
        if said is not None and said != word and parse_time(said, now) != kept:
            raise _other(flag, said, f"{word} ({format_time(kept)})")
    margin = math.inf if plan.margin is None else plan.margin
    others: Sequence[tuple[str, Any, Any]] = (
        ("--nodes", None if asked.nodes is None else sorted(set(asked.nodes)), plan.nodes),
        ("--margin", asked.margin, margin),
        ("lateness", asked.lateness, plan.lateness),
        ("experts", list(asked.experts), plan.experts),
        ("isolator", asked.isolator if plan.isolator else None, plan.isolator),
    )
    for flag, given, there in others:
        if given is not None and given != there:
            raise _other(flag, _shown(given), _shown(there))


def _other(flag: str, given: str, there: str) -> MisuseError:
    return MisuseError(
        f"{flag} is {given}, and the replay in this namespace began with {there}: "
        f"say the same, name another with --into, or begin anew with --fresh"
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value) or "all"
    if isinstance(value, str):
        return value
    return f"{value:g}"
