"""The two records that sources publish, their bytes, and the check of what can be believed.

JSON, one record per node and scrape, columnar inside so that it becomes arrays without a loop.
Unknown fields are ignored, unknown versions are refused by name.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec

from estimator.errors import RecordError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec

USAGE_TOPIC: Final = "wattstream.usage"
POWER_TOPIC: Final = "wattstream.power"
DEAD_TOPIC: Final = "wattstream.dead"

GROUP: Final = "wattstream"
"""The learners' consumer group in the log, and their checkpoints' folder in the store."""

VERSION: Final = 1
FUTURE_SECONDS: Final = 3600.0
"""A record may be that much ahead of the time at which the log took it."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e100)]
"""Beyond the upper bound, sums and squares would overflow."""
UnixMs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Mode = Literal["counter", "rate"]


class Workloads(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The workloads of a node, columnar: row i of every list belongs to ``id[i]``."""

    id: list[str] = []
    kind: list[str] = []
    features: dict[str, list[Amount]] = {}


class NodeUsage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A usage record, but for its workloads."""

    v: int
    node: Name
    at: UnixMs
    mode: Mode
    interval: Annotated[float, msgspec.Meta(gt=0)] | None = None
    machine: MachineSpec = UNKNOWN_MACHINE
    node_features: dict[str, Amount] = {}


class UsageRecord(NodeUsage, frozen=True, omit_defaults=True, gc=False):
    """What a node did. ``at`` in Unix ms, ``interval`` in seconds (mode ``rate`` only).

    Mode ``counter``: values are cumulative since some start. Mode ``rate``: per second, over the
    ``interval`` that ends at ``at``. Where ``node_features`` lacks a feature, the node's value is
    the sum over its workloads. Features of ``vocabulary.GAUGE_FEATURES`` are levels in both modes.
    """

    workloads: Workloads = Workloads()


class Zone(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One energy counter: joules since some start, falling to 0 at ``wraps_at`` (if it wraps)."""

    component: Name
    zone: str
    joules: Amount
    wraps_at: Annotated[float, msgspec.Meta(gt=0)] | None = None


class PowerRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a meter said: cumulative ``zones``, or a gauge of ``watts`` by component."""

    v: int
    node: Name
    at: UnixMs
    source: Name
    zones: list[Zone] | None = None
    watts: dict[str, Amount] | None = None


class _Versioned(msgspec.Struct, frozen=True):
    v: int


R = TypeVar("R", UsageRecord, PowerRecord)

_usage = msgspec.json.Decoder(UsageRecord)
_power = msgspec.json.Decoder(PowerRecord)
_version = msgspec.json.Decoder(_Versioned)
_encoder = msgspec.json.Encoder()


def topic_of(record: UsageRecord | PowerRecord) -> str:
    """The topic that the record belongs to."""
    return USAGE_TOPIC if isinstance(record, UsageRecord) else POWER_TOPIC


def encode(record: UsageRecord | PowerRecord) -> bytes:
    """The record's bytes: compact JSON, fields in the order of their declaration."""
    return _encoder.encode(record)


def decode_usage(data: bytes, appended_ms: int | None = None) -> UsageRecord:
    """Read a usage record; ``RecordError`` says what is wrong with it."""
    record = _decode(_usage, data)
    check_usage(record, appended_ms)
    if len(set(record.workloads.id)) != len(record.workloads.id):
        raise RecordError("workloads.id names a workload twice")
    return record


def check_usage(record: UsageRecord, appended_ms: int | None) -> None:
    """``RecordError`` where a record contradicts itself, or the log's clock."""
    _check_time(record.at, appended_ms)
    if record.mode == "rate" and record.interval is None:
        raise RecordError("interval is missing: mode 'rate' needs it")
    rows = len(record.workloads.id)
    if len(record.workloads.kind) != rows:
        raise RecordError(f"workloads.kind has {len(record.workloads.kind)} entries, id has {rows}")
    features = record.workloads.features
    if not {rows}.issuperset(map(len, features.values())):
        feature, count = next((name, len(of)) for name, of in features.items() if len(of) != rows)
        raise RecordError(f"workloads.features.{feature} has {count} entries, id has {rows}")


def decode_power(data: bytes, appended_ms: int | None = None) -> PowerRecord:
    """Read a power record; ``RecordError`` says what is wrong with it."""
    record = _decode(_power, data)
    _check_time(record.at, appended_ms)
    if (record.zones is None) == (record.watts is None):
        raise RecordError("exactly one of zones and watts is needed")
    if record.zones is not None:
        if not record.zones:
            raise RecordError("zones is empty")
        if len({(zone.component, zone.zone) for zone in record.zones}) != len(record.zones):
            raise RecordError("zones names a zone twice")
        for zone in record.zones:
            if zone.wraps_at is not None and zone.joules > zone.wraps_at:
                raise RecordError(
                    f"zone {zone.zone!r}: joules {zone.joules} is above wraps_at {zone.wraps_at}"
                )
    elif not record.watts:
        raise RecordError("watts is empty")
    return record


def _decode(decoder: msgspec.json.Decoder[R], data: bytes) -> R:
    try:
        record = decoder.decode(data)
    except RecursionError as error:
        raise RecordError("nesting is too deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(_unknown_version(data) or f"{error}") from error
    if record.v != VERSION:
        raise RecordError(f"v is {record.v}: this release reads version {VERSION}")
    return record


def _unknown_version(data: bytes) -> str | None:
    """Why a record of another version cannot be read, whatever else its fields look like."""
    try:
        version = _version.decode(data).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if version == VERSION else f"v is {version}: this release reads version {VERSION}"


def _check_time(at: int, appended_ms: int | None) -> None:
    if appended_ms is not None and at > appended_ms + FUTURE_SECONDS * 1000:
        ahead = (at - appended_ms) / 1000
        raise RecordError(f"at is {at}, {ahead:.0f} s after the log took the record")
