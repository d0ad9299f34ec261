"""Every series of the export that is made here: name, type and meaning."""

from __future__ import annotations

from typing import Final, NamedTuple

from estimator.export.exposition import Family, Page


class Series(NamedTuple):
    """One metric of the export."""

    kind: str
    help: str


POWER: Final[dict[str, Series]] = {
    "kepler_node_cpu_watts": Series("gauge", "Power of the node's zone."),
    "kepler_node_cpu_active_watts": Series("gauge", "Power of the node's zone above idle."),
    "kepler_node_cpu_idle_watts": Series("gauge", "Idle power of the node's zone."),
    "kepler_node_cpu_joules_total": Series("counter", "Energy of the node's zone."),
    "kepler_node_cpu_active_joules_total": Series(
        "counter", "Energy of the node's zone above idle."
    ),
    "kepler_node_cpu_idle_joules_total": Series("counter", "Idle energy of the node's zone."),
    "kepler_process_cpu_watts": Series("gauge", "The process's share of power above idle."),
    "kepler_process_cpu_joules_total": Series("counter", "Energy of the process."),
    "kepler_container_cpu_watts": Series("gauge", "The container's share of power above idle."),
    "kepler_container_cpu_joules_total": Series("counter", "Energy of the container."),
    "kepler_pod_cpu_watts": Series("gauge", "The pod's share of power above idle."),
    "kepler_pod_cpu_joules_total": Series("counter", "Energy of the pod."),
    "kepler_vm_cpu_watts": Series("gauge", "The virtual machine's share of power above idle."),
    "kepler_vm_cpu_joules_total": Series("counter", "Energy of the virtual machine."),
}
"""Kepler's own names; of what is estimated, with the label ``vm_model``."""

USAGE: Final[dict[str, Series]] = {
    "kepler_node_cpu_usage_ratio": Series("gauge", "Processor time in use, 0 to 1."),
    "kepler_node_cpu_info": Series("gauge", "Always 1; one series for each processor."),
    "kepler_process_cpu_seconds_total": Series("counter", "Processor time of the process."),
    "kepler_container_cpu_seconds_total": Series("counter", "Processor time of the container."),
}
"""Kepler's own names; shown where no Kepler shows them."""

MODEL: Final[dict[str, Series]] = {
    "kepler_vm_model_inference_duration_seconds": Series(
        "gauge", "How long the last estimate of all zones took."
    ),
    "kepler_vm_model_confidence_score": Series(
        "gauge", "Trust in the zone's estimate, 0 to 1, from the model's recent error."
    ),
    "kepler_vm_model_version": Series("gauge", "Always 1; the label says which version answers."),
    "kepler_vm_model_accuracy_mae": Series(
        "gauge", "Mean absolute error of the model in watts, where it is measured."
    ),
    "kepler_vm_training_data_points_total": Series(
        "counter", "Samples that the model has learned from."
    ),
    "kepler_vm_last_training_timestamp": Series(
        "gauge", "Unix time of the last sample that the model has learned from."
    ),
    "kepler_vm_feature_collection_errors_total": Series(
        "counter", "Times that a feature could not be read."
    ),
    "kepler_vm_feature_collection_duration_seconds": Series(
        "gauge", "How long the last reading of features took."
    ),
    "kepler_vm_cpu_pinning_enabled": Series(
        "gauge", "Whether virtual processors are bound to real ones, as far as can be seen here."
    ),
    "kepler_vm_cpu_isolation_ratio": Series(
        "gauge", "Processors that are isolated from the scheduler, of all."
    ),
    "kepler_vm_pinning_recommendation_score": Series(
        "gauge", "How much pinning would help, 0 to 1."
    ),
}
"""The names of Kepler's proposal for power models in virtual machines."""

OWN: Final[dict[str, Series]] = {
    "wattstream_export_kepler_up": Series(
        "gauge", "Whether the Kepler of this machine answered the last time (0 or 1)."
    ),
    "wattstream_export_low_confidence": Series(
        "gauge", "Whether the zone's confidence is below the threshold (0 or 1)."
    ),
    "wattstream_export_estimates_total": Series("counter", "Estimates of the node's power."),
    "wattstream_export_without_model_total": Series(
        "counter", "Intervals for which there was no model."
    ),
    "wattstream_export_unlabelled_series_total": Series(
        "counter", "Series of Kepler's that did not say of what they are."
    ),
    "wattstream_export_machine_changes_total": Series(
        "counter", "Times that the processor was another one: a migrated guest."
    ),
}
"""What else is to be known of the export."""

ALL: Final = POWER | USAGE | MODEL | OWN


def family(page: Page, name: str) -> Family:
    """The family of that name on the page; made, as this table says, where it is not there."""
    kind, help_text = ALL[name]
    return page.family(name, kind, help_text)
