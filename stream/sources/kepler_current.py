"""What Kepler 0.10 and later exposes, as a node's usage and its measured energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from estimator.machine import MachineSpec
from estimator.system.fake_meter import is_fake
from estimator.vocabulary import ACPI, RAPL, SOURCE_COMPONENTS
from stream.records import VERSION, PowerRecord, UsageRecord, Workloads, Zone
from stream.sources.kepler_exposition import Families, Sample
from stream.sources.kepler_machine import machine_of_processors
from stream.sources.kepler_workloads import column, workloads

_ACTIVE: Final = "kepler_node_cpu_active_joules"
_IDLE: Final = "kepler_node_cpu_idle_joules"
_PLATFORM: Final = "kepler_platform_watts"
_RATIO: Final = "kepler_node_cpu_usage_ratio"
_INFO: Final = "kepler_node_cpu_info"
MODEL: Final = "vm_model"
"""The label of what a model estimated, on our own page (`estimator.export`)."""
_LEVELS: Final = (
    ("process", "pid", "kepler_process_cpu_seconds"),
    ("container", "container_id", "kepler_container_cpu_seconds"),
)
"""Processes first: they cover the whole node, the containers only what runs in containers."""

ENERGY_SERIES: Final = frozenset({_ACTIVE, _IDLE, _PLATFORM})
USAGE_SERIES: Final = frozenset(series for _, _, series in _LEVELS)
MARKERS: Final = ENERGY_SERIES | USAGE_SERIES | {_INFO, _RATIO}
"""Series that no release before 0.10 has."""
LABELS: Final = frozenset(
    {"container_id", "core_id", "model_name", "path", "physical_id", "pid", "processor"}
    | {"source", "source_type", "state", "vendor_id", MODEL, "zone"}
)


class Meter(NamedTuple):
    """Who measured a zone, and what it is."""

    source: str
    component: str


def meter(labels: Mapping[str, str]) -> Meter | None:
    """The energy source and the component of a zone; None if it is no part of the vocabulary.

    Kepler calls every hwmon chip with a sensor a zone, batteries and disks included: of these
    only ACPI's power meter says what the machine draws. What a model estimated, and what the fake
    meter makes up, nobody measured.
    """
    zone, path = labels.get("zone", "").lower(), labels.get("path", "")
    if labels.get(MODEL) or is_fake(path):
        return None
    if "hwmon" in path or zone.startswith("power_meter"):
        return Meter(ACPI, "platform") if zone.startswith("power_meter") else None
    return Meter(RAPL, zone) if zone in SOURCE_COMPONENTS[RAPL] else None


def current_machine(families: Families) -> MachineSpec:
    """The machine as far as the exporter says."""
    return machine_of_processors(families.get(_INFO, ()))


def current_usage(
    families: Families, at: int, node: str, machine: MachineSpec
) -> UsageRecord | None:
    """The CPU time of every process, or container; None if the exporter shows neither.

    Of the node the usage ratio beside it, which knows of processes too short to be seen.
    The sum over the node would fall whenever a process ends, so the processes go out one by one.
    """
    rows = _workloads(families)
    if not rows.id:
        return None
    ratios = [sample.value for sample in families.get(_RATIO, ())]
    of_node = {"cpu_usage_ratio": ratios[0]} if ratios else {}
    return UsageRecord(
        VERSION, node, at, "counter", machine=machine, node_features=of_node, workloads=rows
    )


def current_power(families: Families, at: int, node: str) -> list[PowerRecord]:
    """One record for each energy source: zones of energy, and redfish's watts."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    idle = {_place(sample): sample.value for sample in families.get(_IDLE, ())}
    for sample in families.get(_ACTIVE, ()):
        measured = meter(sample.labels)
        place = _place(sample)
        # With one of the two missing, the sum would fall and return: a burst that never was.
        if measured is not None and place in idle:
            zones = found.setdefault(measured.source, {})
            zones[measured.component, _zone_name(sample)] = sample.value + idle[place]
    records = [
        PowerRecord(VERSION, node, at, source, zones=_without_mmio(zones))
        for source, zones in sorted(found.items())
    ]
    for source, watts in sorted(_platform_watts(families.get(_PLATFORM, ())).items()):
        records.append(PowerRecord(VERSION, node, at, source, watts={"platform": watts}))
    return records


def _workloads(families: Families) -> Workloads:
    for level, label, series in _LEVELS:
        milliseconds = column(families.get(series, ()), label, factor=1000.0)
        if milliseconds:
            return workloads(level, {"bpf_cpu_time_ms": milliseconds})
    return Workloads()


def _place(sample: Sample) -> tuple[str, str]:
    return sample.labels.get("zone", ""), sample.labels.get("path", "")


def _zone_name(sample: Sample) -> str:
    """The path, which tells zones of one name apart; hwmon's changes with every boot."""
    zone, path = _place(sample)
    return zone.lower() if "hwmon" in path or not path else path


def _without_mmio(zones: Mapping[tuple[str, str], float]) -> list[Zone]:
    """The zones, less those of the memory-mapped interface that the other one shows as well."""
    direct = {component for component, name in zones if "intel-rapl-mmio" not in name}
    return [
        Zone(component, name, joules)
        for (component, name), joules in zones.items()
        if "intel-rapl-mmio" not in name or component not in direct
    ]


def _platform_watts(samples: Sequence[Sample]) -> dict[str, float]:
    """The platform's watts by source, from the power supplies alone where they are exposed.

    The entries of PowerControl may be parts of one another, the supplies never are.
    """
    by_type: dict[str, dict[str, float]] = {}
    for _, labels, watts in samples:
        types = by_type.setdefault(labels.get("source") or "redfish", {})
        kind = labels.get("source_type", "")
        types[kind] = types.get(kind, 0.0) + watts
    return {
        source: types["PowerSupply"] if "PowerSupply" in types else types[min(types)]
        for source, types in by_type.items()
    }
