"""Which exporter each series of a recording was scraped from, and which node that runs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.errors import MisuseError, WattstreamError
from stream.sources.kepler_mapping import USAGE_SERIES, measures, node_named_in
from stream.sources.prometheus_series import SeriesMeta, SeriesTable

UNNAMED_NODE: Final = "unknown"
"""The node of series that name none."""

_SCRAPER: Final = ("cluster", "prometheus", "prometheus_replica", "replica", "job")
_POD: Final = ("namespace", "pod")
TARGET_LABELS: Final = (*_SCRAPER, *_POD, "instance")
"""The labels that Prometheus puts on every series of one exporter."""


class Targets(NamedTuple):
    """Scraped exporters, the one first seen first: each one's node, and its number by series."""

    nodes: list[str]
    by_series: list[int]


class _Roles(NamedTuple):
    """By series: whether it is usage, whether energy, and when it starts and ends (ms)."""

    usage: NDArray[np.bool_]
    energy: NDArray[np.bool_]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def find_targets(table: SeriesTable, name: str, node: str | None) -> Targets:
    """Group the series by the exporter they come from, and name its node.

    ``WattstreamError`` if nothing can be learned from them on any node: no usage, no measured
    energy, or no interval for which there are both. ``MisuseError`` if one name is given to
    several nodes.
    """
    roles = _roles(table)
    _check_roles(table, roles, name)
    numbers = _numbers(table.meta, roles)
    _check_overlap(numbers, roles, name)
    nodes = [_node(table.meta, numbers == i, roles) for i in range(int(numbers.max()) + 1)]
    if node is not None:
        if len(set(nodes)) > 1:
            named = ", ".join(sorted(set(nodes)))
            raise MisuseError(f"{name}: node {node!r} cannot name several nodes: {named}")
        nodes = [node] * len(nodes)
    return Targets(nodes, numbers.tolist())


def _roles(table: SeriesTable) -> _Roles:
    first = np.zeros(len(table.meta), np.int64)
    last = np.zeros(len(table.meta), np.int64)
    last[table.series] = table.times_ms
    first[table.series[::-1]] = table.times_ms[::-1]  # the last assignment stays: the earliest
    return _Roles(
        np.array([meta.name in USAGE_SERIES for meta in table.meta], bool),
        np.array([measures(meta.name, meta.labels) for meta in table.meta], bool),
        first,
        last,
    )


def _check_roles(table: SeriesTable, roles: _Roles, name: str) -> None:
    if not table.meta:
        aside = f" ({table.skipped} values set aside)" if table.skipped else ""
        raise WattstreamError(f"{name}: holds no series of Kepler that can be used{aside}")
    held = ", ".join(sorted({meta.name for meta in table.meta})[:3])
    if not roles.usage.any():
        raise WattstreamError(f"{name}: holds no usage of containers or processes, only {held}")
    if not roles.energy.any():
        raise WattstreamError(f"{name}: holds no measured energy of a node, only {held}")


def _numbers(meta: Sequence[SeriesMeta], roles: _Roles) -> NDArray[np.int32]:
    """The target of every series, numbered in the order of their starts."""
    known: dict[tuple[str, ...], int] = {}
    numbers = np.zeros(len(meta), np.int32)
    for place in np.argsort(roles.first, kind="stable").tolist():
        numbers[place] = known.setdefault(_key(meta[place]), len(known))
    if len(known) == 2 and _are_halves(numbers, roles):
        numbers[:] = 0
    return numbers


def _key(meta: SeriesMeta) -> tuple[str, ...]:
    """What is the same for all series of an exporter: its pod, else the address scraped."""
    labels = TARGET_LABELS[:-1] if "pod" in meta.labels else TARGET_LABELS
    return tuple(meta.labels.get(label, "") for label in labels)


def _are_halves(numbers: NDArray[np.int32], roles: _Roles) -> bool:
    """Whether one target has all the usage and the other all the energy.

    So it looks when Prometheus honours Kepler's own ``instance``, which only node series have.
    """
    usage, energy = set(numbers[roles.usage].tolist()), set(numbers[roles.energy].tolist())
    return len(usage) == len(energy) == 1 and usage != energy


def _check_overlap(numbers: NDArray[np.int32], roles: _Roles, name: str) -> None:
    for number in range(int(numbers.max()) + 1):
        usage = roles.usage & (numbers == number)
        energy = roles.energy & (numbers == number)
        if usage.any() and energy.any():
            start = max(roles.first[usage].min(), roles.first[energy].min())
            end = min(roles.last[usage].max(), roles.last[energy].max())
            if start < end:
                return
    raise WattstreamError(f"{name}: usage and energy have no interval in common on any node")


def _node(meta: Sequence[SeriesMeta], mine: NDArray[np.bool_], roles: _Roles) -> str:
    """The node that the target's series name: those of energy are the likeliest to know."""
    likeliest = np.flatnonzero(mine & roles.energy).tolist()
    places = [*likeliest, *np.flatnonzero(mine & ~roles.energy).tolist()]
    return node_named_in(meta[place].labels for place in places) or UNNAMED_NODE
