"""What Kepler 0.10 and later on a host says its virtual machines draw: labels for their usage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from estimator.system.fake_meter import is_fake
from estimator.vocabulary import HYPERVISOR, SOURCE_COMPONENTS
from stream.records import VERSION, PowerRecord, Zone
from stream.sources.kepler_current import MODEL
from stream.sources.kepler_exposition import Families, Sample

_NODE: Final = "kepler_node_cpu_active_joules"
_VM: Final = "kepler_vm_cpu_joules"
_PROCESS: Final = "kepler_process_cpu_joules"
SERIES: Final = frozenset({_VM, _PROCESS})


def guest_power(families: Families, at: int, host: str) -> list[PowerRecord]:
    """One record for each virtual machine that runs: its joules by zone, its id as the node.

    The guest publishes its usage under that id as well. Where the exporter shows no machines, it
    is what the processes add up to that have their ids. Zones are named after the host, so that
    what two hosts say of one machine is never taken for one counter.
    """
    if _is_made_up(families.get(_NODE, ())):
        return []
    samples = families.get(_VM) or families.get(_PROCESS, ())
    joules: dict[str, dict[str, float]] = {}
    for _, labels, value in samples:
        vm, zone = labels.get("vm_id", ""), labels.get("zone", "").lower()
        if not vm or labels.get("state") == "terminated" or labels.get(MODEL):
            continue
        if zone in SOURCE_COMPONENTS[HYPERVISOR]:
            of_vm = joules.setdefault(vm, {})
            of_vm[zone] = of_vm.get(zone, 0.0) + value
    return [
        PowerRecord(
            VERSION,
            vm,
            at,
            HYPERVISOR,
            zones=[Zone(zone, f"{host}/{zone}", total) for zone, total in sorted(of_vm.items())],
        )
        for vm, of_vm in sorted(joules.items())
    ]


def _is_made_up(measured: Iterable[Sample]) -> bool:
    """Whether all that the host measures is its fake meter's."""
    paths = [sample.labels.get("path", "") for sample in measured]
    return bool(paths) and all(map(is_fake, paths))
