"""The machine as an exporter's info series describe it, in Kepler's own spelling."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.sources.kepler_exposition import Sample

_VENDORS: Final = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}
_NOISE: Final = re.compile(
    r"\(.*?\)|\[.*?\]|®|@|,|\bCPU\b|\bprocessor\b|\d+-Bit Multi-Core|\d+(\.\d+)?\s?[GM]Hz",
    re.IGNORECASE,
)


def processor_name(model_name: str) -> str:
    """A processor's model name as Kepler writes it into a machine spec.

    >>> processor_name("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz")
    'intel_xeon_gold_6130'
    >>> processor_name("Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz"), processor_name("Sky Lake")
    ('intel_xeon_e5_2699v4', 'sky_lake')
    """
    words = _NOISE.sub("", model_name).lower().replace("-", "_").split()
    return "_".join(words).replace("_v", "v")


def machine_of_architecture(samples: Sequence[Sample]) -> MachineSpec:
    """What ``kepler_node_info`` of 0.7 to 0.9 says: the processor's architecture and no more."""
    names = {processor_name(sample.labels.get("cpu_architecture", "")) for sample in samples}
    known = sorted(names - {"", "unknown"})
    return MachineSpec(processor=known[0]) if known else UNKNOWN_MACHINE


def machine_of_processors(samples: Sequence[Sample]) -> MachineSpec:
    """What ``kepler_node_cpu_info`` of 0.10 and later says, one series for each logical CPU."""
    labels = [sample.labels for sample in samples]
    if not labels:
        return UNKNOWN_MACHINE
    first = min(labels, key=lambda each: each.get("processor", ""))
    vendor = first.get("vendor_id", "")
    cores = len({each.get("processor") for each in labels})
    physical_cores = len({(each.get("physical_id"), each.get("core_id")) for each in labels})
    return MachineSpec(
        vendor=_VENDORS.get(vendor, "_".join(vendor.lower().split())),
        processor=processor_name(first.get("model_name", "")),
        cores=cores,
        chips=len({each.get("physical_id") for each in labels}),
        threads_per_core=cores // physical_cores,
    )
