from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import RecordError
from estimator.machine import MachineSpec
from stream.records import (
    FUTURE_SECONDS,
    VERSION,
    PowerRecord,
    UsageRecord,
    Workloads,
    Zone,
    decode_power,
    decode_usage,
    encode,
)

GOLDEN = Path(__file__).parent / "golden"

MACHINE = MachineSpec(
    vendor="intel",
    processor="intel_xeon_gold_6130",
    cores=64,
    chips=2,
    memory=188,
    frequency=2100,
    threads_per_core=2,
)

USAGE_GOLDEN = {
    "usage_counter_v1.json": UsageRecord(
        v=1,
        node="worker-1",
        at=1_700_000_003_000,
        mode="counter",
        machine=MACHINE,
        node_features={"cpu_scaling_frequency_hertz": 2.1e9},
        workloads=Workloads(
            id=["4f1c", "99ab"],
            kind=["container", "vm"],
            features={"bpf_cpu_time_ms": [1520.5, 12.0], "cache_miss": [90_000.0, 0.0]},
        ),
    ),
    "usage_rate_v1.json": UsageRecord(
        v=1,
        node="bench",
        at=1_700_000_006_000,
        mode="rate",
        interval=3.0,
        node_features={"cpu_cycles": 4.2e9, "cpu_instructions": 6.5e9},
    ),
}

POWER_GOLDEN = {
    "power_zones_v1.json": PowerRecord(
        v=1,
        node="worker-1",
        at=1_700_000_003_250,
        source="rapl-sysfs",
        zones=[
            Zone("package", "package-0", 262_143.25, 262_143.328850),
            Zone("package", "package-1", 17.5, 262_143.328850),
            Zone("dram", "dram-0", 4096.0),
        ],
    ),
    "power_gauge_v1.json": PowerRecord(
        v=1, node="worker-1", at=1_700_000_003_500, source="acpi", watts={"platform": 231.5}
    ),
}

USAGE: dict[str, Any] = {"v": 1, "node": "a", "at": 5_000, "mode": "counter"}
POWER: dict[str, Any] = {"v": 1, "node": "a", "at": 5_000, "source": "acpi"}


def usage(**changes: Any) -> bytes:
    return msgspec.json.encode(USAGE | changes)


def power(**changes: Any) -> bytes:
    return msgspec.json.encode(POWER | {"watts": {"platform": 1}} | changes)


def without(record: dict[str, Any], field: str) -> bytes:
    return msgspec.json.encode({key: value for key, value in record.items() if key != field})


def workloads(ids: list[str], kinds: list[str], **features: Any) -> bytes:
    return usage(workloads={"id": ids, "kind": kinds, "features": features})


# A record that cannot be read, and what the reason must say of it: the field, the value, or both.
BAD_USAGE: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"node=a", "malformed"),
    "empty": (b"", "truncated"),
    "cut short": (usage()[:-4], "truncated"),
    "bytes after it": (usage() + b"{}", r"trailing characters \(byte 46\)"),
    "not UTF-8": (b'{"v":1,"node":"\xff"', "utf-8"),
    "null": (b"null", "`null`"),
    "an array": (b"[1]", "`array`"),
    "NaN": (b'{"v":1,"node":"a","at":1,"mode":"counter","node_features":{"x":NaN}}', "byte 63"),
    "infinity": (
        b'{"v":1,"node":"a","at":1,"mode":"counter","node_features":{"x":1e999}}',
        r"out of range - at `\$.node_features",
    ),
    "no version": (without(USAGE, "v"), "`v`"),
    "no node": (without(USAGE, "node"), "`node`"),
    "no time": (without(USAGE, "at"), "`at`"),
    "no mode": (without(USAGE, "mode"), "`mode`"),
    "newer version": (usage(v=2), "v is 2"),
    "version 0": (usage(v=0), "v is 0"),
    "newer version, other fields": (b'{"v":7,"nodes":["a"],"mode":1}', "v is 7"),
    "version is text": (usage(v="1"), r"`int`, got `str` - at `\$.v`"),
    "node is a number": (usage(node=3), r"`str`, got `int` - at `\$.node`"),
    "node is empty": (usage(node=""), r"length >= 1 - at `\$.node`"),
    "node is too long": (usage(node="n" * 254), r"length <= 253 - at `\$.node`"),
    "time is text": (usage(at="now"), r"`int`, got `str` - at `\$.at`"),
    "time is fractional": (usage(at=1.5), r"`int`, got `float` - at `\$.at`"),
    "time is negative": (usage(at=-1), r">= 0 - at `\$.at`"),
    "unknown mode": (usage(mode="gauge"), r"'gauge' - at `\$.mode`"),
    "rate without interval": (usage(mode="rate"), "interval is missing"),
    "interval 0": (usage(mode="rate", interval=0), r"> 0.0 - at `\$.interval`"),
    "interval negative": (usage(mode="rate", interval=-3), r"> 0.0 - at `\$.interval`"),
    "cores negative": (usage(machine={"cores": -1}), r">= 0 - at `\$.machine.cores`"),
    "cores fractional": (usage(machine={"cores": 1.5}), r"`float` - at `\$.machine.cores`"),
    "negative counter": (usage(node_features={"x": -1}), r">= 0.0 - at `\$.node_features"),
    "feature is null": (usage(node_features={"x": None}), r"`null` - at `\$.node_features"),
    "feature is text": (usage(node_features={"x": "1"}), r"`str` - at `\$.node_features"),
    "workload value negative": (workloads(["p"], ["pod"], x=[-1]), r"\$.workloads.features"),
    "workload value is null": (workloads(["p"], ["pod"], x=[None]), r"\$.workloads.features"),
    "workload column is short": (
        workloads(["p", "q"], ["pod", "pod"], x=[1]),
        "workloads.features.x has 1 entries, id has 2",
    ),
    "workload column is long": (
        workloads(["p"], ["pod"], x=[1, 2]),
        "workloads.features.x has 2 entries, id has 1",
    ),
    "kinds are missing": (workloads(["p"], []), "workloads.kind has 0 entries, id has 1"),
    "workload twice": (
        workloads(["p", "p"], ["pod", "pod"]),
        "workloads.id names a workload twice",
    ),
}

ZONE = {"component": "package", "zone": "package-0", "joules": 5}

BAD_POWER: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"<html>", "malformed"),
    "newer version": (power(v=2), "v is 2"),
    "newer version, other fields": (b'{"v":3,"meters":{}}', "v is 3"),
    "no source": (without(POWER, "source"), "`source`"),
    "source is empty": (power(source=""), r"length >= 1 - at `\$.source`"),
    "neither zones nor watts": (power(watts=None), "exactly one of zones and watts"),
    "both zones and watts": (power(zones=[ZONE]), "exactly one of zones and watts"),
    "no zone": (power(watts=None, zones=[]), "zones is empty"),
    "no gauge": (power(watts={}), "watts is empty"),
    "zone without component": (
        power(watts=None, zones=[{"zone": "package-0", "joules": 5}]),
        r"`component` - at `\$.zones\[0\]`",
    ),
    "zone without joules": (
        power(watts=None, zones=[{"component": "dram", "zone": "dram-0"}]),
        r"`joules` - at `\$.zones\[0\]`",
    ),
    "joules negative": (
        power(watts=None, zones=[ZONE, ZONE | {"joules": -5}]),
        r">= 0.0 - at `\$.zones\[1\].joules`",
    ),
    "wraps at 0": (
        power(watts=None, zones=[ZONE | {"wraps_at": 0}]),
        r"> 0.0 - at `\$.zones\[0\].wraps_at`",
    ),
    "joules above the wrap": (
        power(watts=None, zones=[ZONE | {"wraps_at": 4}]),
        "zone 'package-0': joules 5.0 is above wraps_at 4.0",
    ),
    "zone twice": (power(watts=None, zones=[ZONE, ZONE]), "zones names a zone twice"),
    "watts negative": (power(watts={"platform": -1}), r">= 0.0 - at `\$.watts"),
    "watts is a list": (power(watts=[1]), r"`array` - at `\$.watts`"),
}


def reason_of_usage(name: str) -> str:
    with pytest.raises(RecordError) as caught:
        decode_usage(BAD_USAGE[name][0])
    return str(caught.value)


def reason_of_power(name: str) -> str:
    with pytest.raises(RecordError) as caught:
        decode_power(BAD_POWER[name][0])
    return str(caught.value)


@pytest.mark.parametrize("name", USAGE_GOLDEN)
def test_golden_bytes_of_usage(name: str) -> None:
    golden = (GOLDEN / name).read_bytes()
    assert decode_usage(golden) == USAGE_GOLDEN[name]
    assert encode(USAGE_GOLDEN[name]) == golden


@pytest.mark.parametrize("name", POWER_GOLDEN)
def test_golden_bytes_of_power(name: str) -> None:
    golden = (GOLDEN / name).read_bytes()
    assert decode_power(golden) == POWER_GOLDEN[name]
    assert encode(POWER_GOLDEN[name]) == golden


def test_every_golden_file_is_tested() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {*USAGE_GOLDEN, *POWER_GOLDEN}


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
amounts = st.floats(min_value=0, max_value=1e100)
times = st.integers(0, 2**53)


@st.composite
def workload_tables(draw: st.DrawFn) -> Workloads:
    ids = draw(st.lists(names, max_size=5, unique=True))
    column = st.lists(amounts, min_size=len(ids), max_size=len(ids))
    kinds = draw(st.lists(names, min_size=len(ids), max_size=len(ids)))
    return Workloads(ids, kinds, draw(st.dictionaries(names, column, max_size=4)))


@st.composite
def usage_records(draw: st.DrawFn) -> UsageRecord:
    interval = draw(st.none() | st.floats(1e-3, 1e6))
    return UsageRecord(
        v=VERSION,
        node=draw(names),
        at=draw(times),
        mode="counter" if interval is None else "rate",
        interval=interval,
        machine=MachineSpec(processor=draw(names), cores=draw(st.integers(0, 1024))),
        node_features=draw(st.dictionaries(names, amounts, max_size=4)),
        workloads=draw(workload_tables()),
    )


zones = st.builds(
    Zone,
    component=names,
    zone=names,
    joules=st.floats(0, 1e6),
    wraps_at=st.none() | st.floats(1e6, 1e9),
)
power_records = st.builds(
    PowerRecord,
    v=st.just(VERSION),
    node=names,
    at=times,
    source=names,
    zones=st.lists(zones, min_size=1, max_size=5, unique_by=lambda z: (z.component, z.zone)),
) | st.builds(
    PowerRecord,
    v=st.just(VERSION),
    node=names,
    at=times,
    source=names,
    watts=st.dictionaries(names, amounts, min_size=1, max_size=5),
)


@given(usage_records())
def test_usage_comes_back_as_it_was(record: UsageRecord) -> None:
    assert decode_usage(encode(record)) == record


@given(power_records)
def test_power_comes_back_as_it_was(record: PowerRecord) -> None:
    assert decode_power(encode(record)) == record


@given(st.binary(max_size=200))
def test_noise_is_a_record_error_and_nothing_else(data: bytes) -> None:
    for decode in (decode_usage, decode_power):
        with pytest.raises(RecordError):
            decode(data)


@given(record=usage_records(), data=st.data())
def test_a_damaged_record_is_read_or_a_record_error(
    record: UsageRecord, data: st.DataObject
) -> None:
    damaged = bytearray(encode(record))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    with suppress(RecordError):
        found = decode_usage(bytes(damaged))
        assert all(0 <= value < math.inf for value in found.node_features.values())
        assert all(len(column) == len(found.workloads.id) for column in columns(found))


def columns(record: UsageRecord) -> list[list[float]]:
    return list(record.workloads.features.values())


@pytest.mark.parametrize("name", BAD_USAGE)
def test_bad_usage_is_refused_by_name(name: str) -> None:
    with pytest.raises(RecordError, match=BAD_USAGE[name][1]):
        decode_usage(BAD_USAGE[name][0])


@pytest.mark.parametrize("name", BAD_POWER)
def test_bad_power_is_refused_by_name(name: str) -> None:
    with pytest.raises(RecordError, match=BAD_POWER[name][1]):
        decode_power(BAD_POWER[name][0])


@pytest.mark.parametrize(("decode", "record"), [(decode_usage, usage), (decode_power, power)])
def test_a_time_far_ahead_of_the_log_is_refused(
    decode: Callable[..., object], record: Callable[..., bytes]
) -> None:
    appended_ms = 1_700_000_000_000
    limit = appended_ms + int(FUTURE_SECONDS * 1000)
    decode(record(at=limit), appended_ms)
    decode(record(at=0), appended_ms)
    decode(record(at=limit + 1))  # nobody knows when it was appended
    with pytest.raises(RecordError, match=f"at is {limit + 1}, 3600 s after"):
        decode(record(at=limit + 1), appended_ms)


def test_unknown_fields_are_ignored_at_every_level() -> None:
    assert decode_usage(
        usage(
            colour="red",
            machine={"cores": 4, "sockets": [1]},
            workloads={"id": ["p"], "kind": ["pod"], "features": {"x": [1]}, "name": [None]},
        )
    ) == UsageRecord(
        v=1,
        node="a",
        at=5_000,
        mode="counter",
        machine=MachineSpec(cores=4),
        workloads=Workloads(["p"], ["pod"], {"x": [1.0]}),
    )
    assert decode_power(
        power(watts=None, zones=[ZONE | {"path": "/sys"}], unit="J")
    ) == PowerRecord(
        v=1, node="a", at=5_000, source="acpi", zones=[Zone("package", "package-0", 5.0)]
    )


def test_a_counter_that_reached_its_wrap_is_read() -> None:
    record = decode_power(power(watts=None, zones=[ZONE | {"wraps_at": 5}]))
    assert record.zones == [Zone("package", "package-0", 5.0, 5.0)]


@pytest.mark.parametrize(("decode", "record"), [(decode_usage, usage), (decode_power, power)])
def test_nesting_without_end_is_refused(
    decode: Callable[[bytes], object], record: Callable[..., bytes]
) -> None:
    deep = record().replace(b'"v":1', b'"v":1,"x":' + b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(RecordError):
        decode(deep)


@pytest.mark.parametrize(("decode", "record"), [(decode_usage, usage), (decode_power, power)])
def test_a_time_beyond_all_calendars_is_refused(
    decode: Callable[[bytes], object], record: Callable[..., bytes]
) -> None:
    with pytest.raises(RecordError, match="at"):
        decode(record(at=2**63))
