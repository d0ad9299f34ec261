"""What runs on this machine and how much processor time it has had, as Kepler's labels say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from estimator.export.exposition import Page

PROCESS_LABELS: Final = ("pid", "comm", "exe", "type", "container_id", "vm_id")
CONTAINER_LABELS: Final = ("container_id", "container_name", "runtime", "pod_id")
POD_LABELS: Final = ("pod_id", "pod_name", "pod_namespace")
VM_LABELS: Final = ("vm_id", "vm_name", "hypervisor")

_PROCESS_SECONDS: Final = "kepler_process_cpu_seconds_total"
_CONTAINER_SECONDS: Final = "kepler_container_cpu_seconds_total"


class Process(NamedTuple):
    """One process; of a container whose processes are not shown, the whole, without a pid."""

    pid: str
    comm: str
    exe: str
    type: str
    container_id: str
    vm_id: str


class Workloads:
    """The processor seconds of each process, and what containers, pods and VMs are called.

    ``unlabelled`` counts series that did not say of what they are.
    """

    def __init__(self) -> None:
        self.seconds: dict[Process, float] = {}
        self.containers: dict[str, tuple[str, ...]] = {}
        self.pods: dict[str, tuple[str, ...]] = {}
        self.vms: dict[str, tuple[str, ...]] = {}
        self.unlabelled = 0

    def add(self, process: Process, seconds: float) -> None:
        """Take in a process; of one that is named twice the times add up."""
        self.seconds[process] = self.seconds.get(process, 0.0) + seconds

    def groups(self, process: Process) -> Iterator[tuple[str, str]]:
        """What the process is part of: level and id."""
        if process.container_id:
            yield "container", process.container_id
            pod = self.containers.get(process.container_id, ("", "", "", ""))[3]
            if pod:
                yield "pod", pod
        if process.vm_id:
            yield "vm", process.vm_id

    def labels(self, level: str, identity: str) -> Mapping[str, str]:
        """The labels of a container, a pod or a VM, unknown names empty."""
        names, known = {
            "container": (CONTAINER_LABELS, self.containers),
            "pod": (POD_LABELS, self.pods),
            "vm": (VM_LABELS, self.vms),
        }[level]
        values = known.get(identity, (identity, *[""] * (len(names) - 1)))
        return dict(zip(names, values, strict=True))


def workloads_of(page: Page) -> Workloads:
    """The workloads that a page of Kepler 0.10 or later shows; none on a page of another kind."""
    found = Workloads()
    for name in (_CONTAINER_SECONDS, "kepler_container_cpu_joules_total"):
        _name(page, name, CONTAINER_LABELS, found.containers)
    _name(page, "kepler_pod_cpu_joules_total", POD_LABELS, found.pods)
    _name(page, "kepler_vm_cpu_joules_total", VM_LABELS, found.vms)
    for labels, seconds in page.samples(_PROCESS_SECONDS):
        if labels.get("pid"):
            found.add(Process(*[labels.get(one, "") for one in PROCESS_LABELS]), seconds)
        else:
            found.unlabelled += 1
    if found.seconds or found.unlabelled:
        return found
    for labels, seconds in page.samples(_CONTAINER_SECONDS):
        identity = labels.get("container_id", "")
        if not identity:
            found.unlabelled += 1
        elif labels.get("state") != "terminated":
            found.add(Process("", "", "", "container", identity, ""), seconds)
    return found


def _name(
    page: Page, series: str, names: tuple[str, ...], known: dict[str, tuple[str, ...]]
) -> None:
    for labels, _ in page.samples(series):
        identity = labels.get(names[0], "")
        if identity and identity not in known:
            known[identity] = tuple(labels.get(name, "") for name in names)
