"""The ledger, the model and the readings as lines of a page, in Kepler's labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from estimator.export.estimating import Estimate
from estimator.export.exposition import Page, labelled
from estimator.export.families import family
from estimator.export.ledger import Account, Ledger
from estimator.export.workloads import PROCESS_LABELS, Process, Workloads

PATH: Final = "model"
"""What stands for the path of a zone's meter, where there is none."""


def write_node(page: Page, ledger: Ledger, node: str) -> None:
    """The node's power and energy, by zone."""
    for zone in sorted(ledger.zones):
        named = {"node_name": node, "path": PATH, "vm_model": ledger.model, "zone": zone}
        labels = labelled(named)
        active, idle = ledger.node[zone]
        _line(page, "kepler_node_cpu_active_joules_total", labels, active)
        _line(page, "kepler_node_cpu_idle_joules_total", labels, idle)
        _line(page, "kepler_node_cpu_joules_total", labels, active + idle)
        if zone in ledger.power:
            active, idle = ledger.power[zone]
            _line(page, "kepler_node_cpu_active_watts", labels, active)
            _line(page, "kepler_node_cpu_idle_watts", labels, idle)
            _line(page, "kepler_node_cpu_watts", labels, active + idle)


def write_workloads(page: Page, ledger: Ledger, workloads: Workloads, node: str) -> None:
    """The shares of processes, containers, pods and VMs, by zone."""
    ends = {
        zone: labelled({"state": "running", "vm_model": ledger.model, "zone": zone})
        for zone in sorted(ledger.zones)
    }
    for process, account in ledger.processes.items():
        if process.pid:
            _account(page, "process", _of_process(process, node), account, ends)
    for level, accounts in ledger.groups.items():
        for identity, account in accounts.items():
            named = labelled({"node_name": node, **workloads.labels(level, identity)})
            _account(page, level, named, account, ends)


def write_usage(page: Page, workloads: Workloads, node: str) -> None:
    """Processor time of processes and containers, where no Kepler shows it."""
    containers: dict[str, float] = {}
    for process, seconds in workloads.seconds.items():
        labels = _of_process(process, node)
        _line(page, "kepler_process_cpu_seconds_total", labels, seconds)
        if process.container_id:
            before = containers.get(process.container_id, 0.0)
            containers[process.container_id] = before + seconds
    for identity, seconds in sorted(containers.items()):
        named = {"node_name": node, **workloads.labels("container", identity), "state": "running"}
        _line(page, "kepler_container_cpu_seconds_total", labelled(named), seconds)


def write_model(page: Page, estimate: Estimate, low: Mapping[str, bool]) -> None:
    """What answers, and how far it can be trusted."""
    manifest, digest = estimate.entry.manifest, estimate.entry.digest
    for zone, trust in sorted(estimate.trust.items()):
        labels = labelled({"zone": zone})
        prefix = "kepler_vm_model_"
        _line(page, f"{prefix}inference_duration_seconds", labels, estimate.seconds)
        _line(page, f"{prefix}confidence_score", labels, trust.score)
        version = labelled({"version": digest[:12], "zone": zone})
        _line(page, f"{prefix}version", version, 1)
        if trust.mae is not None:
            _line(page, f"{prefix}accuracy_mae", labels, trust.mae)
        _line(page, "kepler_vm_training_data_points_total", labels, manifest.samples)
        _line(page, "kepler_vm_last_training_timestamp", labels, manifest.at / 1000)
        _line(page, "wattstream_export_low_confidence", labels, int(low[zone]))


def write_values(page: Page, name: str, values: Mapping[str, float], label: str = "") -> None:
    """One line for each value; the keys are those of the label, if it has one."""
    for key, value in sorted(values.items()):
        _line(page, name, labelled({label: key}) if label else "", value)


def _of_process(process: Process, node: str) -> str:
    return labelled({"node_name": node, **dict(zip(PROCESS_LABELS, process, strict=True))})


def _account(
    page: Page, level: str, labels: str, account: Account, ends: Mapping[str, str]
) -> None:
    joules = family(page, f"kepler_{level}_cpu_joules_total").lines
    watts = family(page, f"kepler_{level}_cpu_watts").lines
    for zone, end in ends.items():
        if zone in account.joules:
            joules.append(
                f"kepler_{level}_cpu_joules_total{{{labels},{end}}} {account.joules[zone]}"
            )
        if zone in account.watts:
            watts.append(f"kepler_{level}_cpu_watts{{{labels},{end}}} {account.watts[zone]}")


def _line(page: Page, name: str, labels: str, value: float) -> None:
    series = f"{name}{{{labels}}}" if labels else name
    family(page, name).lines.append(f"{series} {value}")
