from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import WattstreamError
from estimator.isolation.profile import SCHEMA, IdleProfile, PowerRange
from stream.analysis.idle_recording import record_idle, record_source, restless
from stream.learning.shard import read
from stream.replaying.selection import Selection
from stream.sources.trace import TraceSource
from tests.stream.builders import (
    MACHINE,
    START_MS,
    Record,
    filled_log,
    fleet,
    gauge,
    joined,
    usage,
    zones,
)


def test_the_ranges_are_those_of_the_samples() -> None:
    records = fleet(nodes=3, steps=30)
    samples = joined(records)
    (found,) = record_idle(filled_log(records, partitions=2), read)
    assert (found.schema, found.node_type) == (SCHEMA, MACHINE.node_type)
    assert found.since == min(sample.start for sample in samples)
    assert found.until == max(sample.end for sample in samples)
    for source, components in (("acpi", ["platform"]), ("rapl-sysfs", ["dram", "package"])):
        of_source = [sample for sample in samples if sample.source == source]
        assert sorted(found.sources[source]) == components
        for component, one in found.sources[source].items():
            watts = [s.watts[s.components.index(component)] for s in of_source]
            assert one == PowerRange(min(watts), max(watts), len(watts))


def test_only_records_of_that_time_count() -> None:
    records: list[Record] = []
    for second, watts in enumerate([90.0, 30.0, 31.0, 32.0, 90.0, 90.0]):
        at = START_MS + 3000 * second
        records += [usage(at, x=second), gauge(at, platform=watts)]
    begin, end = START_MS + 3000, START_MS + 9001
    (found,) = record_idle(filled_log(records), Selection(begin, end).read)
    one = found.sources["acpi"]["platform"]
    assert (one.min, one.max, one.samples) == (30.5, 31.5, 2)
    assert one.background == 31.0


def test_the_beginning_of_a_trace(tmp_path: Path) -> None:
    rows = [f"{1_700_000_000 + 3 * row},10,{20 + row}" for row in range(40)]
    path = tmp_path / "idle.csv"
    path.write_text("\n".join(["timestamp,bpf_cpu_time_ms,package_power", *rows]) + "\n")
    (found,) = record_source(TraceSource(path), 30.0)
    one = found.sources["rapl-sysfs"]["package"]
    assert (one.min, one.max) == pytest.approx((20.0, 29.0))
    assert one.samples == 10
    assert found.node_type == "unknown"


def test_power_of_which_nobody_knows_the_time_is_no_profile() -> None:
    with pytest.raises(WattstreamError, match="no usage with power beside it"):
        record_idle(filled_log([zones(START_MS, {"package": 1.0})]), read)


def test_who_was_not_idle_is_named() -> None:
    ranges = {"package": PowerRange(30.0, 46.0, 9), "dram": PowerRange(3.0, 4.5, 9)}
    profile = IdleProfile(SCHEMA, "xeon", 0, 1, {"rapl-sysfs": ranges})
    assert restless(profile) == ["package of rapl-sysfs from 30.0 to 46.0 W"]
