"""Usage rates of a node between two readings of its counters."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import asdict

from estimator.arrays import Floats, State
from estimator.machine import MachineSpec
from estimator.vocabulary import GAUGE_FEATURES
from stream.records import UsageRecord

_NO_FEATURES: Final[Floats] = np.empty(0)


class Layout:
    """Which features a record has, and where: shared by all records that have the same."""

    def __init__(self, node_names: tuple[str, ...], workload_names: tuple[str, ...]) -> None:
        self.node_names, self.workload_names = node_names, workload_names
        # Where the node says a feature itself, the sum over its workloads is not asked for.
        columns = {name: len(node_names) + i for i, name in enumerate(workload_names)}
        columns.update({name: i for i, name in enumerate(node_names)})
        self.features = tuple(sorted(columns))
        self.columns = np.array([columns[name] for name in self.features], dtype=np.intp)
        self.node_gauges = _gauges(node_names)
        self.workload_gauges = _gauges(workload_names)


def _gauges(names: Iterable[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    mask = np.array([name in GAUGE_FEATURES for name in names], dtype=np.bool_)
    return mask if mask.any() else None


@lru_cache(maxsize=1024)
def layout(node_names: tuple[str, ...], workload_names: tuple[str, ...]) -> Layout:
    """The (shared, immutable) layout of such records."""
    return Layout(node_names, workload_names)


class Reading(NamedTuple):
    """A usage record as arrays: ``node`` [N] and ``workloads`` [M, W] with one column per id."""

    at: int
    machine: MachineSpec
    layout: Layout
    node: Floats
    ids: list[str]
    workloads: Floats

    def state(self) -> State:
        """Plain data from which `restore_reading` makes the same reading again."""
        return {
            "at": self.at,
            "machine": asdict(self.machine),
            "node_names": self.layout.node_names,
            "workload_names": self.layout.workload_names,
            "node": self.node,
            "ids": self.ids,
            "workloads": self.workloads,
        }


def restore_reading(state: State) -> Reading:
    """Make the reading that ``state`` was taken of."""
    return Reading(
        state["at"],
        MachineSpec(**state["machine"]),
        layout(tuple(state["node_names"]), tuple(state["workload_names"])),
        state["node"],
        state["ids"],
        state["workloads"],
    )


def reading(record: UsageRecord, before: Reading | None = None) -> Reading:
    """The record's values as arrays; ids are ``before``'s if they are the same.

    So there is one list for as long as a node's workloads stay the same.
    """
    workloads = record.workloads
    ids = workloads.id
    if before is not None and before.ids == ids:
        ids = before.ids
    return Reading(
        record.at,
        record.machine,
        layout(tuple(record.node_features), tuple(workloads.features)),
        _packed([record.node_features.values()], len(record.node_features))[0]
        if record.node_features
        else _NO_FEATURES,
        ids,
        _packed(workloads.features.values(), len(workloads.id)),
    )


def _packed(columns: Collection[Iterable[float]], rows: int) -> Floats:
    """Columns of so many numbers as an array [M, W]: numpy alone would take twice as long."""
    pack = struct.Struct(f"{rows}d").pack
    data = b"".join([pack(*column) for column in columns])
    return np.frombuffer(data, np.float64).reshape(len(columns), rows)


def rates_within(record: UsageRecord) -> tuple[tuple[str, ...], Floats]:
    """Features and their node rates [F] of a record in mode ``rate``."""
    now = reading(record)
    return now.layout.features, _gathered(now.layout, now.node, now.workloads.sum(axis=1))


def rates_between(before: Reading, after: Reading) -> tuple[tuple[str, ...], Floats] | None:
    """Features and their node rates [F] per second between two readings of counters.

    Only workloads that are in both count: what one did before it was first seen is not known. For
    the same reason only features that are in both, at the same place, have a rate. None if a
    counter fell, or if no feature is in both.
    """
    if before.layout is not after.layout:
        common = _common(before.layout, after.layout)
        if not common.features:
            return None
        before, after = _narrowed(before, common), _narrowed(after, common)
    known = before.workloads
    now = after.workloads
    if before.ids is not after.ids and before.ids != after.ids:
        place = {name: i for i, name in enumerate(before.ids)}
        both = [(place[name], i) for i, name in enumerate(after.ids) if name in place]
        pairs = np.array(both, dtype=np.intp).reshape(-1, 2)
        known, now = known[:, pairs[:, 0]], now[:, pairs[:, 1]]
    shape = after.layout
    seconds = (after.at - before.at) / 1000.0
    workloads = _difference(known, now, shape.workload_gauges)
    if workloads is None:
        return None
    total = np.add.reduce(workloads, axis=1) / seconds
    if shape.workload_gauges is not None:
        total[shape.workload_gauges] = after.workloads[shape.workload_gauges].sum(axis=1)
    if not shape.node_names:
        return shape.features, total[shape.columns]
    node = _difference(before.node, after.node, shape.node_gauges)
    if node is None:
        return None
    node = node / seconds
    if shape.node_gauges is not None:
        node[shape.node_gauges] = after.node[shape.node_gauges]
    return shape.features, _gathered(shape, node, total)


def _common(before: Layout, after: Layout) -> Layout:
    """What both have, where both say it of the node or both of its workloads."""
    node = tuple(name for name in after.node_names if name in before.node_names)
    elsewhere = {*before.node_names, *after.node_names}.difference(node)
    workload = tuple(
        name
        for name in after.workload_names
        if name in before.workload_names and name not in elsewhere
    )
    return layout(node, workload)


def _narrowed(whole: Reading, shape: Layout) -> Reading:
    node = [whole.layout.node_names.index(name) for name in shape.node_names]
    workloads = [whole.layout.workload_names.index(name) for name in shape.workload_names]
    return whole._replace(layout=shape, node=whole.node[node], workloads=whole.workloads[workloads])


def _difference(
    before: Floats, after: Floats, gauges: np.ndarray[tuple[int], np.dtype[np.bool_]] | None
) -> Floats | None:
    difference: Floats = after - before
    if gauges is not None:
        difference[gauges] = 0.0
    # The place of the least is found in a fraction of the time that its value takes.
    if difference.size and difference.item(difference.argmin()) < 0:
        return None
    return difference


def _gathered(shape: Layout, node: Floats, workloads: Floats) -> Floats:
    values = np.concatenate([node, workloads]) if node.size else workloads
    joined: Floats = values[shape.columns]
    return joined
