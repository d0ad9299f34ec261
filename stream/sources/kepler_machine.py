"""The machine as an exporter's info series describe it, in Kepler's own spelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.system.discovery import processor_name
from stream.sources.kepler_exposition import Sample

_VENDORS: Final = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "HygonGenuine": "hygon"}


def machine_of_architecture(samples: Sequence[Sample]) -> MachineSpec:
    """What ``kepler_node_info`` of 0.7 to 0.9 says: the processor's architecture and no more."""
    names = {processor_name(sample.labels.get("cpu_architecture", "")) for sample in samples}
    known = sorted(names - {"", "unknown"})
    return MachineSpec(processor=known[0]) if known else UNKNOWN_MACHINE


def machine_of_processors(samples: Sequence[Sample]) -> MachineSpec:
    """What ``kepler_node_cpu_info`` of 0.10 and later says, one series for each logical CPU.

    One that does not say of which CPU it is says nothing.
    """
    labels = [sample.labels for sample in samples if sample.labels.get("processor")]
    if not labels:
        return UNKNOWN_MACHINE
    first = min(labels, key=lambda each: each["processor"])
    vendor = first.get("vendor_id", "")
    cores = len({each["processor"] for each in labels})
    physical_cores = len({(each.get("physical_id"), each.get("core_id")) for each in labels})
    return MachineSpec(
        vendor=_VENDORS.get(vendor, "_".join(vendor.lower().split())),
        processor=processor_name(first.get("model_name", "")),
        cores=cores,
        chips=len({each.get("physical_id") for each in labels}),
        threads_per_core=cores // physical_cores,
    )
