"""What is there in a recording: readings, rates, zeros, gaps and resets of every series."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from estimator.vocabulary import COMPONENTS, GAUGE_FEATURES, canonical_source
from stream.joining.counter_track import MOST_WATTS
from stream.joining.usage_rates import Reading, reading
from stream.records import PowerRecord, UsageRecord

USAGE: Final = "usage"
GAP: Final = 1.5
"""A step of more than so many usual (median) ones is a gap."""


class Finding(NamedTuple):
    """What one series of a node is like: a feature (``of`` is "usage") or a component of a meter.

    ``readings`` records, ``every`` so many seconds (the median; None for one reading), ``first``
    and ``last`` in Unix ms. ``gaps`` are steps of more than 1.5 times the median, ``longest`` the
    longest in seconds. Of the ``intervals`` of which the rate (per second, or W) is known,
    ``zeros`` had none; ``resets`` are those over which a counter fell, and did not wrap.
    """

    node: str
    of: str
    name: str
    readings: int
    every: float | None
    first: int
    last: int
    gaps: int
    longest: float
    intervals: int
    zeros: int
    resets: int
    least: float | None
    mean: float | None
    most: float | None


class _Rates:
    """The rates of one series, without keeping them."""

    def __init__(self) -> None:
        self.count = self.zeros = self.resets = 0
        self.least, self.most, self.total = math.inf, -math.inf, 0.0

    def add(self, rate: float | None) -> None:
        if rate is None:
            self.resets += 1
            return
        self.count += 1
        self.zeros += rate == 0
        self.least, self.most = min(self.least, rate), max(self.most, rate)
        self.total += rate


class Validator:
    """Give it every record (`see`); then ask for the `findings`."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[int]] = {}
        self._rates: dict[tuple[str, str, str], _Rates] = {}
        self._usage: dict[str, Reading] = {}
        self._zones: dict[tuple[str, str], PowerRecord] = {}

    def see(self, record: UsageRecord | PowerRecord) -> None:
        """Take in a record."""
        if isinstance(record, UsageRecord):
            self._see(record, USAGE, self._usage_rates(record))
        else:
            of = canonical_source(record.source)
            self._see(record, of, self._watts(record, of))

    def findings(self) -> list[Finding]:
        """By node, usage before meters."""
        found = []
        for (node, of, name), rates in self._rates.items():
            times = sorted(self._times[node, of])
            steps = [b - a for a, b in itertools.pairwise(times)]
            usual = statistics.median(steps) if steps else None
            gaps = [step for step in steps if step > GAP * (usual or 0.0)]
            known = rates.count > 0
            found.append(
                Finding(
                    *(node, of, name, len(times), None if usual is None else usual / 1000),
                    *(times[0], times[-1], len(gaps), max(gaps, default=0) / 1000),
                    *(rates.count, rates.zeros, rates.resets),
                    *(rates.least if known else None,),
                    *(rates.total / rates.count if known else None,),
                    *(rates.most if known else None,),
                )
            )
        return sorted(found, key=_place)

    def _see(
        self,
        record: UsageRecord | PowerRecord,
        of: str,
        rates: Mapping[str, list[float | None]],
    ) -> None:
        self._times.setdefault((record.node, of), []).append(record.at)
        for name, values in rates.items():
            into = self._rates.setdefault((record.node, of, name), _Rates())
            for value in values:
                into.add(value)

    def _usage_rates(self, record: UsageRecord) -> dict[str, list[float | None]]:
        now = reading(record)
        shape = now.layout
        totals = dict(zip(shape.workload_names, now.workloads.sum(axis=1).tolist(), strict=True))
        levels: dict[str, float] = {**totals, **record.node_features}
        if record.mode == "rate":
            return {name: [level] for name, level in levels.items()}
        before, self._usage[record.node] = self._usage.get(record.node), now
        gained = {} if before is None else _gained(before, now)
        return {
            name: [level] if name in GAUGE_FEATURES else gained.get(name, [])
            for name, level in levels.items()
        }

    def _watts(self, record: PowerRecord, of: str) -> dict[str, list[float | None]]:
        if record.zones is None:
            return {name: [watts] for name, watts in (record.watts or {}).items()}
        before, self._zones[record.node, of] = self._zones.get((record.node, of)), record
        found: dict[str, list[float | None]] = {zone.component: [] for zone in record.zones}
        if before is None or before.zones is None or record.at <= before.at:
            return found
        known = {(zone.component, zone.zone): zone.joules for zone in before.zones}
        seconds = (record.at - before.at) / 1000
        sums: dict[str, float | None] = {}
        for zone in record.zones:
            last = known.get((zone.component, zone.zone))
            gained = None if last is None else zone.joules - last
            if gained is not None and gained < 0:
                gained = gained + zone.wraps_at if zone.wraps_at else None
            total = sums.get(zone.component, 0.0)
            fell = gained is None or total is None or gained > MOST_WATTS * seconds
            sums[zone.component] = None if fell or gained is None else (total or 0.0) + gained
        for component, joules in sums.items():
            found[component].append(None if joules is None else joules / seconds)
        return found


def _gained(before: Reading, now: Reading) -> dict[str, list[float | None]]:
    """Rates per second of the counters in both, over workloads that are in both; None for a fall.

    A feature that the node says itself is the node's.
    """
    seconds = (now.at - before.at) / 1000
    if seconds <= 0:
        return {}
    known = {name: place for place, name in enumerate(before.ids)}
    pairs = [(known[name], i) for i, name in enumerate(now.ids) if name in known]
    old, new = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    rows = {name: row for row, name in enumerate(before.layout.workload_names)}
    found: dict[str, list[float | None]] = {}
    for row, name in enumerate(now.layout.workload_names):
        if name in rows:
            rise = now.workloads[row, new] - before.workloads[rows[name], old]
            found[name] = [None if (rise < 0).any() else float(rise.sum()) / seconds]
    own = dict(zip(before.layout.node_names, before.node.tolist(), strict=True))
    for name, value in zip(now.layout.node_names, now.node.tolist(), strict=True):
        if name in own:
            found[name] = [None if value < own[name] else (value - own[name]) / seconds]
    return found


def _place(found: Finding) -> tuple[str, bool, str, int, str]:
    is_power = found.of != USAGE
    rank = COMPONENTS.index(found.name) if found.name in COMPONENTS else len(COMPONENTS)
    return found.node, is_power, found.of, rank if is_power else 0, found.name


def worth_a_look(findings: list[Finding]) -> list[str]:
    """In words what of it may keep models from being good."""
    said = []
    for node in sorted({found.node for found in findings}):
        mine = [found for found in findings if found.node == node]
        if all(found.of != USAGE for found in mine):
            said.append(f"{node} has power, but no usage")
        if all(found.of == USAGE for found in mine):
            said.append(f"{node} has usage, but no power")
        for found in mine:
            what = f"{node}: {found.name} ({found.of})"
            if found.intervals and found.zeros == found.intervals:
                said.append(f"{what} is always 0")
            if found.resets:
                said.append(f"{what} fell {found.resets} times: these intervals are left out")
        for of in dict.fromkeys(found.of for found in mine):
            gaps = next(found for found in mine if found.of == of)
            if gaps.gaps:
                said.append(f"{node}: {of} has {gaps.gaps} gaps, the longest of {gaps.longest:g} s")
    return said
