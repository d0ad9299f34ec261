"""The words of the field: components, energy sources, output types, features, feature groups.

Names and lists are kepler-model-server's (its ``train_types.py``), so that what is learned here
can be asked for by Kepler; ``CPUTime``, ``CPUUsage`` and ``NodeStat`` are added for machines that
have less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal

OutputType = Literal["AbsPower", "DynPower"]
ABS_POWER: Final[OutputType] = "AbsPower"
"""A node's whole power, idle included."""
DYN_POWER: Final[OutputType] = "DynPower"
"""The power above idle, which workloads share."""
OUTPUT_TYPES: Final[tuple[OutputType, ...]] = (ABS_POWER, DYN_POWER)

COMPONENTS: Final = ("package", "core", "uncore", "dram", "psys", "platform")
"""What can be measured, in the order in which arrays hold it. Package contains core and uncore,
psys contains package and more, platform is the whole machine: components are never added up."""

RAPL: Final = "rapl-sysfs"
ACPI: Final = "acpi"
HYPERVISOR: Final = "hypervisor"
"""The host of a virtual machine, which knows its part of the host's power (without the idle)."""
_ZONES: Final = ("package", "core", "uncore", "dram", "psys")
SOURCE_COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    RAPL: _ZONES,
    HYPERVISOR: _ZONES,
    ACPI: ("platform",),
    "hmc": ("platform",),
    "redfish": ("platform",),
}
"""The components that each known energy source measures."""

HORIZONS: Final = (0, 60, 300, 1200)
"""The ages in seconds at which models are scored and weighed; 0 stands for the next sample."""

GAUGE_FEATURES: Final = frozenset(
    {
        "cgroupfs_memory_usage_bytes",
        "cpu_scaling_frequency_hertz",
        "cpu_usage_ratio",
        "kubelet_memory_bytes",
        "node_info",
        "procs_running",
    }
)
"""Features whose value is a level now; every other feature is a counter or its rate."""

_COUNTERS = ("cache_miss", "cpu_cycles", "cpu_instructions")
_BPF = ("bpf_cpu_time_ms", "bpf_page_cache_hit")
_IRQ = ("bpf_block_irq", "bpf_net_rx_irq", "bpf_net_tx_irq")
_WORKLOAD = tuple(sorted(("accelerator_intel_qat", *_BPF, *_COUNTERS, *_IRQ)))
_NODE_STAT = (
    "context_switches",
    "cpu_iowait_ms",
    "cpu_irq_ms",
    "cpu_scaling_frequency_hertz",
    "cpu_steal_ms",
    "cpu_system_ms",
    "cpu_user_ms",
    "disk_read_bytes",
    "disk_write_bytes",
    "interrupts",
    "net_receive_bytes",
    "net_transmit_bytes",
    "page_faults",
    "procs_running",
)

FEATURE_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Full": tuple(sorted((*_WORKLOAD, "cpu_scaling_frequency_hertz", "node_info"))),
    "WorkloadOnly": _WORKLOAD,
    "CounterOnly": _COUNTERS,
    "BPFOnly": _BPF,
    "CounterIRQCombined": tuple(sorted((*_COUNTERS, *_IRQ))),
    "Basic": tuple(sorted((*_BPF, *_COUNTERS))),
    "BPFIRQ": tuple(sorted((*_BPF, *_IRQ))),
    "AcceleratorOnly": ("accelerator_intel_qat",),
    "CPUTime": ("bpf_cpu_time_ms",),
    "CPUUsage": ("bpf_cpu_time_ms", "cpu_usage_ratio"),
    "NodeStat": _NODE_STAT,
}
"""Feature group to its features, each list sorted."""

KNOWN_FEATURES: Final = frozenset(
    feature for features in FEATURE_GROUPS.values() for feature in features
) | {
    "bpf_cpu_time_us",
    "cgroupfs_cpu_usage_us",
    "cgroupfs_memory_usage_bytes",
    "cgroupfs_system_cpu_usage_us",
    "cgroupfs_user_cpu_usage_us",
    "cpu_ref_cycles",
    "gpu_compute_util",
    "gpu_mem_util",
    "kubelet_cpu_usage",
    "kubelet_memory_bytes",
}
"""Every feature name that some version of Kepler, or a source of ours, has published."""


def canonical_source(source: str | None) -> str:
    """The energy source that a name stands for: none, or any name with "rapl" in it, is RAPL.

    >>> canonical_source("intel_rapl"), canonical_source("rapl-msr"), canonical_source("acpi")
    ('rapl-sysfs', 'rapl-sysfs', 'acpi')
    """
    if not source or "rapl" in source or source == "trained_power_model":
        return RAPL
    return source


def groups_satisfied_by(features: Iterable[str]) -> list[str]:
    """The feature groups all of whose features are among those given, in the table's order.

    >>> groups_satisfied_by(["bpf_page_cache_hit", "bpf_cpu_time_ms", "cpu_architecture"])
    ['BPFOnly', 'CPUTime']
    """
    available = set(features)
    return [group for group, needed in FEATURE_GROUPS.items() if available.issuperset(needed)]


def component_order(components: Iterable[str]) -> tuple[str, ...]:
    """The components in the vocabulary's order, strangers after them by name."""
    return _ordered(tuple(components))


@lru_cache(maxsize=1024)
def _ordered(components: tuple[str, ...]) -> tuple[str, ...]:
    known = {name: rank for rank, name in enumerate(COMPONENTS)}
    return tuple(sorted(set(components), key=lambda name: (known.get(name, len(known)), name)))
