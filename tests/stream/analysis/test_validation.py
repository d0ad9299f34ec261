from __future__ import annotations

from collections.abc import Sequence

import pytest

from stream.analysis.validation import Finding, Validator, worth_a_look
from stream.records import VERSION, PowerRecord, UsageRecord, Workloads, Zone

START_MS = 1_700_000_000_000
CPU = "bpf_cpu_time_ms"


def usage(seconds: float, values: Sequence[float], **node: float) -> UsageRecord:
    names = list("abc"[: len(values)])
    rows = Workloads(names, ["container"] * len(names), {CPU: list(values)})
    at = START_MS + round(seconds * 1000)
    return UsageRecord(VERSION, "n1", at, "counter", node_features=node, workloads=rows)


def energy(
    seconds: float, *zones: tuple[str, str, float], wraps_at: float | None = None
) -> PowerRecord:
    made = [Zone(component, zone, joules, wraps_at) for component, zone, joules in zones]
    return PowerRecord(VERSION, "n1", START_MS + round(seconds * 1000), "rapl-msr", zones=made)


def found(*records: UsageRecord | PowerRecord) -> dict[tuple[str, str], Finding]:
    validator = Validator()
    for record in records:
        validator.see(record)
    return {(one.of, one.name): one for one in validator.findings()}


def test_rates_of_counters_over_workloads_that_are_in_both() -> None:
    cpu = found(usage(0, [0, 100]), usage(2, [10, 130]), usage(4, [10, 130, 9e9]))["usage", CPU]
    assert (cpu.readings, cpu.every, cpu.first, cpu.last) == (3, 2.0, START_MS, START_MS + 4000)
    # 40 in 2 s, and then nothing: what the new workload did before is not known.
    assert (cpu.intervals, cpu.zeros, cpu.resets) == (2, 1, 0)
    assert (cpu.least, cpu.mean, cpu.most) == (0.0, 10.0, 20.0)


def test_a_counter_that_falls_was_reset() -> None:
    cpu = found(usage(0, [50]), usage(1, [20]), usage(2, [30]))["usage", CPU]
    assert (cpu.intervals, cpu.resets, cpu.mean) == (1, 1, 10.0)


def test_levels_of_the_node_are_taken_as_they_are() -> None:
    hertz = "cpu_scaling_frequency_hertz"
    level = found(usage(0, [1], **{hertz: 2e9}), usage(1, [1], **{hertz: 1e9}))["usage", hertz]
    assert (level.intervals, level.resets, level.least, level.most) == (2, 0, 1e9, 2e9)


def test_rates_are_taken_as_they_are() -> None:
    records = [
        UsageRecord(VERSION, "n1", START_MS + 1000 * n, "rate", 1.0, node_features={CPU: 5.0 * n})
        for n in range(3)
    ]
    cpu = found(*records)["usage", CPU]
    assert (cpu.intervals, cpu.zeros, cpu.mean) == (3, 1, 5.0)


def test_zones_of_a_component_are_added_up_and_wraps_are_none() -> None:
    watts = found(
        energy(
            0, ("package", "0", 90.0), ("package", "1", 10.0), ("dram", "0", 1.0), wraps_at=100.0
        ),
        energy(
            1, ("package", "0", 10.0), ("package", "1", 15.0), ("dram", "0", 1.0), wraps_at=100.0
        ),
    )
    assert [name for _, name in watts] == ["package", "dram"]
    assert watts["rapl-sysfs", "package"].mean == 25.0
    assert (watts["rapl-sysfs", "dram"].zeros, watts["rapl-sysfs", "dram"].resets) == (1, 0)


@pytest.mark.parametrize("joules", [5.0, 90.0 + 6000.0])
def test_energy_that_falls_or_leaps_is_a_reset(joules: float) -> None:
    package = found(energy(0, ("package", "0", 90.0)), energy(1, ("package", "0", joules)))
    assert package["rapl-sysfs", "package"][9:12] == (0, 0, 1)


def test_gaps_are_steps_of_more_than_one_and_a_half_usual_ones() -> None:
    times = [0, 1, 2, 3.4, 4.4, 9, 10]
    cpu = found(*(usage(at, [at]) for at in times))["usage", CPU]
    assert (cpu.every, cpu.gaps, cpu.longest) == (1.0, 1, 4.6)


def test_remarks() -> None:
    validator = Validator()
    for at in (0, 1, 2, 8):
        validator.see(usage(at, [0.0]))
    assert worth_a_look(validator.findings()) == [
        "n1 has usage, but no power",
        f"n1: {CPU} (usage) is always 0",
        "n1: usage has 1 gaps, the longest of 6 s",
    ]
    validator = Validator()
    for at, joules in ((0, 9.0), (1, 3.0), (2, 4.0)):
        validator.see(energy(at, ("package", "0", joules)))
    assert worth_a_look(validator.findings()) == [
        "n1 has power, but no usage",
        "n1: package (rapl-sysfs) fell 1 times: these intervals are left out",
    ]
