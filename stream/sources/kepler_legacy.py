"""What Kepler 0.7 to 0.9 exposes, as a node's usage and its measured energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from estimator.machine import MachineSpec
from estimator.vocabulary import (
    COMPONENTS,
    GAUGE_FEATURES,
    KNOWN_FEATURES,
    RAPL,
    SOURCE_COMPONENTS,
    canonical_source,
)
from stream.records import VERSION, PowerRecord, UsageRecord, Workloads, Zone
from stream.sources.kepler_exposition import Families
from stream.sources.kepler_machine import machine_of_architecture
from stream.sources.kepler_workloads import column, workloads

_FREQUENCY: Final = "cpu_scaling_frequency_hertz"
_NODE_FREQUENCY: Final = f"kepler_node_{_FREQUENCY}"
_INFO: Final = ("kepler_node_info", "kepler_node_node_info")
_COUNTERS: Final = tuple(sorted(KNOWN_FEATURES - GAUGE_FEATURES - {"kubelet_memory_bytes"}))
"""What workloads have used. Kepler calls their memory a counter too, but it rises and falls: each
fall would look like a reset."""
_LEVELS: Final = (("container", "container_id"), ("process", "pid"))
"""The level of a series with the label of its identity. Container series cover the whole node,
``system_processes`` and ``kernel_processes`` included; processes are taken where there are none."""

ENERGY_SERIES: Final[Mapping[str, str]] = {
    f"kepler_node_{component}_joules": component for component in COMPONENTS
}
"""Series of node energy, each with its component."""
USAGE_SERIES: Final = frozenset(
    f"kepler_{level}_{feature}" for level, _ in _LEVELS for feature in _COUNTERS
)
SERIES: Final = USAGE_SERIES | ENERGY_SERIES.keys() | {_NODE_FREQUENCY, *_INFO}
LABELS: Final = frozenset(
    {"container_id", "cpu_architecture", "mode", "package", "pid", "source", "state"}
)


def meter(component: str, labels: Mapping[str, str]) -> str | None:
    """The energy source of a node's series; None if a model made its values.

    Kepler labels a platform series that a model made with the source of the components, so that
    the platform counts as measured only where its source is one that measures platforms.
    """
    source = labels.get("source", "")
    if not source or source in ("trained_power_model", "estimator", "none"):
        return None
    if labels.get("package", "").startswith("estimator"):
        return None
    source = canonical_source(source)
    measured = SOURCE_COMPONENTS.get(source, SOURCE_COMPONENTS[RAPL])
    return source if component in measured else None


def legacy_machine(families: Families) -> MachineSpec:
    """The machine as far as the exporter says."""
    return machine_of_architecture([s for name in _INFO for s in families.get(name, ())])


def legacy_usage(
    families: Families, at: int, node: str, machine: MachineSpec
) -> UsageRecord | None:
    """The cumulative usage of every workload; None if the exporter shows none."""
    rows = _workloads(families)
    if not rows.id:
        return None
    return UsageRecord(
        v=VERSION,
        node=node,
        at=at,
        mode="counter",
        machine=machine,
        node_features=_frequency(families),
        workloads=rows,
    )


def legacy_power(families: Families, at: int, node: str) -> list[PowerRecord]:
    """One record for each energy source that measured, dynamic and idle energy added up."""
    modes: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for series, component in ENERGY_SERIES.items():
        for _, labels, joules in families.get(series, ()):
            source = meter(component, labels)
            if source is not None:
                package = labels.get("package", "")
                zones = modes.setdefault(source, {})
                zone = zones.setdefault((component, package), {})
                zone[labels.get("mode", "")] = joules
    records = []
    for source, found in sorted(modes.items()):
        zones_read = [
            Zone(component, _zone_name(component, package, by_mode), sum(by_mode.values()))
            for (component, package), by_mode in found.items()
            if by_mode.keys() != {"idle"}
        ]
        if zones_read:
            records.append(PowerRecord(VERSION, node, at, source, zones=zones_read))
    return records


def _zone_name(component: str, package: str, by_mode: Mapping[str, float]) -> str:
    """The zone's name, another one while idle energy is not exposed.

    Were it the same, the idle energy of hours would seem to be spent in the one interval at whose
    end it is first exposed.
    """
    name = f"{component}-{package}" if package else component
    return f"{name}-dynamic" if by_mode.keys() == {"dynamic"} else name


def _workloads(families: Families) -> Workloads:
    for level, label in _LEVELS:
        columns = {
            feature: column(families[series], label)
            for feature in _COUNTERS
            if (series := f"kepler_{level}_{feature}") in families
        }
        rows = workloads(level, columns)
        if rows.id:
            return rows
    return Workloads()


def _frequency(families: Families) -> dict[str, float]:
    """The mean of the processors' frequencies, those left out that could not be read (0).

    Where none could, it is 0 and stays in: a record's features must be those of the one before.
    """
    hertz = [sample.value for sample in families.get(_NODE_FREQUENCY, ())]
    read = [value for value in hertz if value > 0]
    return {_FREQUENCY: sum(read) / max(len(read), 1)} if hertz else {}
