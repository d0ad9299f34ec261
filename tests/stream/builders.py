"""Records and streams of records for tests: short to write, and the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.joining.join import Join
from stream.log.memory import MemoryLog
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
    topic_of,
)
from stream.sample import Sample

START_MS = 1_700_000_000_000
MACHINE = MachineSpec(processor="test", cores=4, chips=1, memory=16, frequency=2000)

Record = UsageRecord | PowerRecord


class ManualClock:
    """Unix seconds that pass when told."""

    def __init__(self, now: float = START_MS / 1000) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def usage(
    at: int,
    workloads: Mapping[str, Sequence[float]] | None = None,
    *,
    node: str = "a",
    ids: Sequence[str] | None = None,
    machine: MachineSpec = UNKNOWN_MACHINE,
    interval: float | None = None,
    **node_features: float,
) -> UsageRecord:
    """Usage at ``at`` ms: workloads' columns by feature, node features by keyword.

    Workloads are called "0", "1" and so on unless ``ids`` names them. Mode ``rate`` if there is an
    interval.
    """
    columns = {name: [float(value) for value in row] for name, row in (workloads or {}).items()}
    count = max((len(row) for row in columns.values()), default=0)
    names = [str(i) for i in range(count)] if ids is None else list(ids)
    return UsageRecord(
        v=1,
        node=node,
        at=at,
        mode="counter" if interval is None else "rate",
        interval=interval,
        machine=machine,
        node_features={name: float(value) for name, value in node_features.items()},
        workloads=Workloads(names, ["container"] * len(names), columns),
    )


def zones(
    at: int,
    joules: Mapping[str, float],
    *,
    node: str = "a",
    source: str = "rapl-sysfs",
    wraps_at: float | None = None,
) -> PowerRecord:
    """Energy counters; a key is a component, or component and zone as in ``package/1``."""
    found = [
        Zone(name.split("/")[0], name, float(value), wraps_at) for name, value in joules.items()
    ]
    return PowerRecord(v=1, node=node, at=at, source=source, zones=found)


def gauge(at: int, *, node: str = "a", source: str = "acpi", **watts: float) -> PowerRecord:
    """Watts by component."""
    said = {name: float(value) for name, value in watts.items()}
    return PowerRecord(v=1, node=node, at=at, source=source, watts=said)


def joined(records: Iterable[Record], join: Join | None = None) -> list[Sample]:
    """The samples that these records make, in this order."""
    join = Join() if join is None else join
    samples: list[Sample] = []
    for record in records:
        if isinstance(record, PowerRecord):
            samples += join.add_power(record)
        else:
            samples += join.add_usage(record)
    return samples


FEATURES = {"bpf_cpu_time_ms": 1e3, "cache_miss": 4e6, "cpu_cycles": 2e9, "cpu_instructions": 3e9}
"""What one busy processor makes of each in a second; enough for two feature groups."""


def fleet(
    nodes: int = 3,
    steps: int = 40,
    *,
    seed: int = 1,
    interval_ms: int = 3000,
    meter_ms: int = 1000,
    restless: bool = True,
) -> list[Record]:
    """Records of nodes in order of event time: counters that grow, power that follows them.

    ``restless`` adds what life adds: workloads that come and go, a node that restarts, a feature
    that vanishes, records that come twice.
    """
    rng = np.random.default_rng(seed)
    found: list[Record] = []
    for number in range(nodes):
        found += _node(f"n{number}", number, steps, rng, interval_ms, meter_ms, restless)
    # By time; the order among equals is that of their making.
    return sorted(found, key=lambda record: record.at)


def _node(
    node: str,
    number: int,
    steps: int,
    rng: np.random.Generator,
    interval_ms: int,
    meter_ms: int,
    restless: bool,
) -> Iterator[Record]:
    counters = rng.uniform(0, 1e6, (len(FEATURES), 4))
    each = np.array(list(FEATURES.values()))[:, None]
    phase = int(rng.integers(0, interval_ms))
    joules, wraps, meter_at = 900.0 * number, 1000.0, START_MS + phase
    for step in range(steps):
        at = START_MS + phase + step * interval_ms
        busy = rng.uniform(0, 1, 4) * (rng.random() < 0.8)
        watts = 40.0 + 25.0 * busy.sum() + rng.normal(0, 0.5)
        while meter_at < at + interval_ms:
            joules += watts * meter_ms / 1000
            meter_at += meter_ms
            yield zones(
                meter_at,
                {"package/0": joules % wraps, "dram/0": joules / 8 % wraps},
                node=node,
                wraps_at=wraps,
            )
        if step % 2 == 0:
            yield gauge(at + 700, node=node, platform=watts * 1.4 + 20)
        counters += each * busy * rng.uniform(0.8, 1.2, (len(FEATURES), 1)) * interval_ms / 1000
        if restless and number == 1 and step == steps // 2:
            counters[:] = 0.0  # the node has restarted
        here = 4 if not restless or step % 7 else 3
        names = [
            name for name in FEATURES if not (restless and step == 11 and name == "cache_miss")
        ]
        record = usage(
            at,
            {
                name: counters[row, :here].tolist()
                for row, name in enumerate(FEATURES)
                if name in names
            },
            node=node,
            machine=MACHINE,
            cpu_scaling_frequency_hertz=2e9 + 1e8 * step,
        )
        yield record
        if restless and step % 9 == 5:
            yield record


def topics(log: Log, partitions: int = 1) -> None:
    """Make the topics that collectors and workers need."""
    log.create_topics(
        [TopicSpec(topic, partitions) for topic in (USAGE_TOPIC, POWER_TOPIC)]
        + [TopicSpec(DEAD_TOPIC, 1)]
    )


def append(log: Log, record: Record) -> None:
    """Append a record to the topic that it belongs to."""
    topic = topic_of(record)
    log.append_many(topic, [Outgoing(record.node, encode(record))])


def filled_log(
    records: Iterable[Record | tuple[str, Outgoing]],
    partitions: int = 1,
    clock: ManualClock | None = None,
) -> MemoryLog:
    """A log to which each record was appended 50 ms after its event time."""
    clock = ManualClock() if clock is None else clock
    log = MemoryLog(clock)
    topics(log, partitions)
    for record in records:
        if isinstance(record, tuple):
            log.append_many(record[0], [record[1]])
        else:
            clock.now = max(clock.now, record.at / 1000 + 0.05)
            append(log, record)
    return log
