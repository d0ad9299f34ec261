"""Records of a fleet, made fast: counters that grow by a random walk, power that follows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from estimator.machine import MachineSpec
from stream.log.protocol import Log, Outgoing, TopicSpec
from stream.records import (
    DEAD_TOPIC,
    POWER_TOPIC,
    USAGE_TOPIC,
    PowerRecord,
    UsageRecord,
    Workloads,
    Zone,
    encode,
)

FEATURES = {
    "cpu_cycles": 2.4e9,
    "cpu_instructions": 2.0e9,
    "cache_miss": 4.0e6,
    "cpu_ref_cycles": 2.1e9,
    "bpf_cpu_time_ms": 1.0e3,
    "bpf_net_tx_irq": 30.0,
    "bpf_net_rx_irq": 60.0,
    "bpf_block_irq": 9.0,
    "bpf_page_cache_hit": 500.0,
}
"""Kepler 0.9's features, and what one busy processor gives of each per second."""
MACHINE = MachineSpec(processor="bench", cores=64, chips=2, memory=188, frequency=2100)
START_MS = 1_700_000_000_000
INTERVAL_MS = 3000


def fleet_records(
    nodes: int,
    steps: int,
    workloads: int,
    seed: int = 1,
    features: Sequence[str] = tuple(FEATURES),
) -> Iterator[tuple[list[Outgoing], list[Outgoing]]]:
    """Usage and power of every node, step by step; nodes are spread over the interval."""
    rng = np.random.default_rng(seed)
    scale = np.array([FEATURES[feature] for feature in features])[:, None]
    counters = rng.uniform(0, 1e6, (nodes, len(features), workloads))
    joules = rng.uniform(0, 1e5, (nodes, 2))
    ids = [
        [f"{node:032x}{workload:032x}" for workload in range(workloads)] for node in range(nodes)
    ]
    kinds = ["container"] * workloads
    for step in range(steps):
        usage, power = [], []
        for node in range(nodes):
            at = START_MS + step * INTERVAL_MS + node * INTERVAL_MS // nodes
            busy = rng.uniform(0, 64 / workloads, workloads)
            growth = scale * busy * rng.uniform(0.7, 1.3, (len(features), 1)) * INTERVAL_MS / 1000
            counters[node] += growth
            load = busy.sum() / 64
            joules[node] += np.array([60 + 140 * load, 12 + 20 * load]) * INTERVAL_MS / 1000
            columns = dict(zip(features, np.round(counters[node], 1).tolist(), strict=True))
            record = UsageRecord(
                v=1,
                node=f"node-{node:05d}",
                at=at,
                mode="counter",
                machine=MACHINE,
                workloads=Workloads(ids[node], kinds, columns),
            )
            zones = [
                Zone("package", "package-0", float(joules[node, 0]), 262143.328),
                Zone("dram", "package-0/dram", float(joules[node, 1]), 65712.999),
            ]
            zones = [
                Zone(zone.component, zone.zone, zone.joules % (zone.wraps_at or 1), zone.wraps_at)
                for zone in zones
            ]
            reading = PowerRecord(v=1, node=record.node, at=at, source="rapl-sysfs", zones=zones)
            usage.append(Outgoing(record.node, encode(record)))
            power.append(Outgoing(record.node, encode(reading)))
        yield usage, power


def fill(log: Log, nodes: int, steps: int, workloads: int, partitions: int = 1) -> int:
    """Put the records of a fleet into the log; how many node samples they make."""
    log.create_topics(
        [TopicSpec(topic, partitions) for topic in (USAGE_TOPIC, POWER_TOPIC)]
        + [TopicSpec(DEAD_TOPIC, 1)]
    )
    for usage, power in fleet_records(nodes, steps, workloads):
        log.append_many(USAGE_TOPIC, usage)
        log.append_many(POWER_TOPIC, power)
    return nodes * (steps - 1)
