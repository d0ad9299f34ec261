from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.vocabulary import (
    COMPONENTS,
    FEATURE_GROUPS,
    GAUGE_FEATURES,
    HORIZONS,
    KNOWN_FEATURES,
    SOURCE_COMPONENTS,
    canonical_source,
    component_order,
    groups_satisfied_by,
)

# As in kepler-model-server's train_types.py, sorted: what Kepler asks for must be found by name.
KEPLER_GROUPS = {
    "Full": [
        "accelerator_intel_qat",
        "bpf_block_irq",
        "bpf_cpu_time_ms",
        "bpf_net_rx_irq",
        "bpf_net_tx_irq",
        "bpf_page_cache_hit",
        "cache_miss",
        "cpu_cycles",
        "cpu_instructions",
        "cpu_scaling_frequency_hertz",
        "node_info",
    ],
    "WorkloadOnly": [
        "accelerator_intel_qat",
        "bpf_block_irq",
        "bpf_cpu_time_ms",
        "bpf_net_rx_irq",
        "bpf_net_tx_irq",
        "bpf_page_cache_hit",
        "cache_miss",
        "cpu_cycles",
        "cpu_instructions",
    ],
    "CounterOnly": ["cache_miss", "cpu_cycles", "cpu_instructions"],
    "BPFOnly": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
    "CounterIRQCombined": [
        "bpf_block_irq",
        "bpf_net_rx_irq",
        "bpf_net_tx_irq",
        "cache_miss",
        "cpu_cycles",
        "cpu_instructions",
    ],
    "Basic": [
        "bpf_cpu_time_ms",
        "bpf_page_cache_hit",
        "cache_miss",
        "cpu_cycles",
        "cpu_instructions",
    ],
    "BPFIRQ": [
        "bpf_block_irq",
        "bpf_cpu_time_ms",
        "bpf_net_rx_irq",
        "bpf_net_tx_irq",
        "bpf_page_cache_hit",
    ],
    "AcceleratorOnly": ["accelerator_intel_qat"],
}


@pytest.mark.parametrize("group", KEPLER_GROUPS)
def test_kepler_s_groups_have_kepler_s_features(group: str) -> None:
    assert list(FEATURE_GROUPS[group]) == KEPLER_GROUPS[group]


@pytest.mark.parametrize("features", FEATURE_GROUPS.values(), ids=FEATURE_GROUPS)
def test_groups_are_sorted_and_of_known_features(features: tuple[str, ...]) -> None:
    assert list(features) == sorted(set(features))
    assert set(features) <= KNOWN_FEATURES


def test_levels_are_known_features() -> None:
    assert GAUGE_FEATURES <= KNOWN_FEATURES


def test_every_source_measures_components_that_have_names() -> None:
    assert {part for parts in SOURCE_COMPONENTS.values() for part in parts} == set(COMPONENTS)


def test_horizons_rise_from_the_next_sample() -> None:
    assert HORIZONS[0] == 0
    assert list(HORIZONS) == sorted(set(HORIZONS))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (None, "rapl-sysfs"),
        ("", "rapl-sysfs"),
        ("rapl", "rapl-sysfs"),
        ("intel_rapl", "rapl-sysfs"),
        ("rapl-sysfs", "rapl-sysfs"),
        ("rapl-msr", "rapl-sysfs"),
        ("estimated_rapl", "rapl-sysfs"),
        ("trained_power_model", "rapl-sysfs"),
        ("acpi", "acpi"),
        ("redfish", "redfish"),
    ],
)
def test_sources_have_one_name(name: str | None, source: str) -> None:
    assert canonical_source(name) == source


@given(st.sets(st.sampled_from(sorted(KNOWN_FEATURES))))
def test_a_group_is_satisfied_by_having_all_its_features(features: set[str]) -> None:
    found = groups_satisfied_by(features)
    assert [group for group in FEATURE_GROUPS if group in found] == found
    for group, needed in FEATURE_GROUPS.items():
        assert (group in found) == (not set(needed) - features)


@given(st.lists(st.sampled_from([*COMPONENTS, "gpu", "fan"])))
def test_components_have_one_order(components: list[str]) -> None:
    found = component_order(components)
    everything = [*COMPONENTS, "fan", "gpu"]
    assert list(found) == [name for name in everything if name in components]
