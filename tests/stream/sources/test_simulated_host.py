"""Simulated hosts: what guests draw is a part of what their host does, by Kepler's rule."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeGuard

import numpy as np
import pytest

from estimator.errors import MisuseError
from stream.joining.join import Join
from stream.records import PowerRecord, UsageRecord, decode_power, decode_usage, encode
from stream.sample import Sample
from stream.sources.protocol import Record
from stream.sources.simulated_host import SimulatedHosts
from tests.stream.builders import START_MS

SECONDS = 300.0


def hosts(count: int = 1, seed: int = 7, **more: float) -> SimulatedHosts:
    return SimulatedHosts(
        count,
        seed,
        start=START_MS / 1000,
        speed=0.0,
        duration_seconds=SECONDS,
        **more,  # type: ignore[arg-type]
    )


def told(source: SimulatedHosts) -> list[Record]:
    records: list[Record] = []
    while (more := source.poll()) is not None:
        records += more
    return records


def joined(records: list[Record]) -> dict[str, list[Sample]]:
    join, found = Join(), defaultdict[str, list[Sample]](list)
    for record in records:
        samples = (
            join.add_power(record) if isinstance(record, PowerRecord) else join.add_usage(record)
        )
        for sample in samples:
            found[sample.node].append(sample)
    assert sum(join.counts.values()) == 0
    return found


def test_its_records_are_sound_and_in_the_order_of_their_times() -> None:
    records = told(hosts(2))
    newest: dict[tuple[str, type], int] = {}
    for record in records:
        if isinstance(record, UsageRecord):
            assert decode_usage(encode(record), record.at) == record
        else:
            assert decode_power(encode(record), record.at) == record
        kind = (record.node, type(record))
        assert record.at > newest.get(kind, 0)
        newest[kind] = record.at
    assert {node for node, _ in newest} == {
        *("sim-host-1", "sim-host-2"),
        *(f"sim-guest-{host}-{guest}" for host in (1, 2) for guest in (1, 2, 3)),
    }


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    assert told(hosts()) == told(hosts())
    assert told(hosts()) != told(hosts(seed=8))


def test_guests_and_hosts_join_into_samples_of_their_own() -> None:
    found = joined(told(hosts()))
    assert {(node, one.source) for node, samples in found.items() for one in samples} == {
        ("sim-host-1", "rapl-sysfs"),
        *((f"sim-guest-1-{guest}", "hypervisor") for guest in (1, 2, 3)),
    }
    for samples in found.values():
        assert len(samples) >= SECONDS / 3 - 2
        assert samples[0].components == ("package", "core", "uncore", "dram")


def test_guests_draw_their_part_of_the_active_energy_by_processor_time() -> None:
    records = told(hosts())
    energy = defaultdict[str, list[float]](list)
    ratios = [r.node_features["cpu_usage_ratio"] for r in records if _is_host_usage(r)]
    times = [r.workloads.features["bpf_cpu_time_ms"] for r in records if _is_host_usage(r)]
    for record in records:
        if isinstance(record, PowerRecord) and record.zones is not None:
            energy[record.node].append(record.zones[0].joules)
    of_host = np.diff(energy["sim-host-1"])
    of_guests = sum(np.diff(energy[f"sim-guest-1-{guest}"]) for guest in (1, 2, 3))
    assert of_guests == pytest.approx(of_host * ratios[1:], abs=1e-5)
    used = np.diff(np.array(times), axis=0)
    part = np.diff(energy["sim-guest-1-1"]) / of_guests
    assert part == pytest.approx(used[:, 0] / used.sum(axis=1), abs=1e-2)


def test_a_guest_s_kernel_counts_what_its_host_sees_of_it() -> None:
    records = told(hosts())
    last = {r.node: r for r in records if isinstance(r, UsageRecord)}
    seen = dict(
        zip(
            last["sim-host-1"].workloads.id,
            last["sim-host-1"].workloads.features["bpf_cpu_time_ms"],
            strict=True,
        )
    )
    for guest, by_host in seen.items():
        features = last[guest].node_features
        # The guest was read up to an interval earlier.
        assert features["bpf_cpu_time_ms"] == pytest.approx(by_host, rel=0.1)
        parts = ("cpu_user_ms", "cpu_system_ms", "cpu_irq_ms")
        assert sum(features[name] for name in parts) == pytest.approx(
            features["bpf_cpu_time_ms"], abs=3
        )


def test_guests_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MisuseError, match="5 guests of 16 cores are more than 64"):
        hosts(guests=5)


def _is_host_usage(record: Record) -> TypeGuard[UsageRecord]:
    return isinstance(record, UsageRecord) and record.node == "sim-host-1"
