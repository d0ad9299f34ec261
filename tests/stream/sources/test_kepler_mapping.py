"""What whole pages do not show: each case differs from another by one label."""

from __future__ import annotations

import pytest

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.records import PowerRecord, UsageRecord
from stream.sources.kepler_exposition import read_exposition
from stream.sources.kepler_mapping import SERIES, KeplerMapper, measures, node_named_in
from stream.sources.protocol import Record


def mapped(page: str, mapper: KeplerMapper | None = None) -> list[Record]:
    families = read_exposition(page, "", SERIES).families
    return (mapper or KeplerMapper("n")).records(families, 1000)


def power(page: str) -> dict[str, dict[str, float]]:
    """Joules, or watts, by zone by source."""
    return {
        record.source: record.watts
        if record.watts is not None
        else {zone.zone: zone.joules for zone in record.zones or []}
        for record in mapped(page)
        if isinstance(record, PowerRecord)
    }


def usage(page: str, mapper: KeplerMapper | None = None) -> UsageRecord:
    (record,) = [each for each in mapped(page, mapper) if isinstance(each, UsageRecord)]
    return record


@pytest.mark.parametrize(
    ("series", "source", "package", "is_measured"),
    [
        ("kepler_node_package_joules", "rapl-sysfs", "0", True),
        ("kepler_node_package_joules", "ampere-xgene-hwmon", "0", True),
        ("kepler_node_package_joules", "grace-acpi", "0", True),
        ("kepler_node_package_joules", "trained_power_model", "0", False),
        ("kepler_node_package_joules", "rapl-sysfs", "estimator0", False),
        ("kepler_node_package_joules", "", "0", False),
        ("kepler_node_package_joules", "acpi", "0", False),
        ("kepler_node_platform_joules", "acpi", "energy1", True),
        ("kepler_node_platform_joules", "redfish", "chassis1", True),
        ("kepler_node_platform_joules", "acpi", "", True),
        ("kepler_node_platform_joules", "rapl-sysfs", "0", False),
        ("kepler_node_platform_joules", "ampere-xgene-hwmon", "0", False),
        ("kepler_node_platform_joules", "grace-acpi", "0", False),
        ("kepler_node_platform_joules", "trained_power_model", "estimator0", False),
        ("kepler_node_other_joules", "rapl-sysfs", "socket0", False),
        ("kepler_node_gpu_joules", "nvml", "0", False),
    ],
)
def test_what_counts_as_measured(series: str, source: str, package: str, is_measured: bool) -> None:
    assert measures(series, {"source": source, "package": package}) is is_measured
    line = f'{series}_total{{mode="dynamic",package="{package}",source="{source}"}} 5\n'
    assert bool(power(line)) is is_measured


def test_idle_energy_that_appears_is_another_zone() -> None:
    """Else all the idle energy since the exporter's start would fall into one interval."""
    dynamic = 'kepler_node_dram_joules_total{mode="dynamic",package="0",source="rapl-msr"} 5\n'
    idle = 'kepler_node_dram_joules_total{mode="idle",package="0",source="rapl-msr"} 700\n'
    assert power(dynamic) == {"rapl-sysfs": {"dram-0-dynamic": 5.0}}
    assert power(dynamic + idle) == {"rapl-sysfs": {"dram-0": 705.0}}
    assert power(idle) == {}
    assert power('kepler_node_dram_joules_total{package="0",source="rapl-msr"} 9\n') == {
        "rapl-sysfs": {"dram-0": 9.0}
    }


@pytest.mark.parametrize("only", ["active", "idle"])
def test_half_of_a_zone_is_no_zone(only: str) -> None:
    labels = 'path="/sys/class/powercap/intel-rapl:0",zone="package"'
    assert power(f"kepler_node_cpu_{only}_joules_total{{{labels}}} 5\n") == {}


def test_zones_of_current_kepler() -> None:
    page = "".join(
        f'kepler_node_cpu_{share}_joules_total{{zone="{zone}",path="{path}"}} {joules}\n'
        for zone, path, joules in [
            ("Package", "/sys/class/powercap/intel-rapl:0", 1),
            ("core", "/sys/class/powercap/intel-rapl:0:0", 2),
            ("dram", "/sys/class/powercap/intel-rapl-mmio:0:0", 3),
            ("power_meter_power1", "/sys/class/hwmon/hwmon2", 4),
            ("power_meter_power2", "/sys/class/hwmon/hwmon2", 5),
            ("amdgpu_power1", "/sys/class/hwmon/hwmon4", 6),
            ("package", "/sys/class/hwmon/hwmon5", 7),
        ]
        for share in ("active", "idle")
    )
    assert power(page) == {
        "acpi": {"power_meter_power1": 8.0, "power_meter_power2": 10.0},
        "rapl-sysfs": {
            "/sys/class/powercap/intel-rapl:0": 2.0,
            "/sys/class/powercap/intel-rapl:0:0": 4.0,
            "/sys/class/powercap/intel-rapl-mmio:0:0": 6.0,
        },
    }


def test_power_control_where_there_are_no_power_supplies() -> None:
    page = 'kepler_platform_watts{source="redfish",source_id="1",source_type="PowerControl"} 195\n'
    assert power(page) == {"redfish": {"platform": 195.0}}


def test_running_containers_where_there_are_no_processes() -> None:
    page = (
        'kepler_container_cpu_seconds_total{container_id="a",state="running"} 1.5\n'
        'kepler_container_cpu_seconds_total{container_id="b",state="terminated"} 90\n'
    )
    rows = usage(page).workloads
    assert (rows.id, rows.kind) == (["a"], ["container"])
    assert rows.features == {"bpf_cpu_time_ms": [1500.0]}


def test_memory_is_no_counter_though_kepler_says_so() -> None:
    page = "".join(
        f'kepler_container_{feature}_total{{container_id="a"}} 1\n'
        for feature in ("kubelet_memory_bytes", "cgroupfs_memory_usage_bytes", "cache_miss")
    )
    assert list(usage(page).workloads.features) == ["cache_miss"]


def test_the_frequency_is_the_mean_of_those_that_could_be_read() -> None:
    page = 'kepler_container_cpu_cycles_total{container_id="a"} 1\n'
    hertz = 'kepler_node_cpu_scaling_frequency_hertz{{cpu="{}"}} {}\n'
    pair = hertz.format(0, 2e9) + hertz.format(1, 3e9)
    assert usage(page + pair + hertz.format(2, 0)).node_features == {
        "cpu_scaling_frequency_hertz": 2.5e9
    }
    assert usage(page + hertz.format(0, 0)).node_features == {"cpu_scaling_frequency_hertz": 0.0}
    assert usage(page).node_features == {}


def test_what_was_known_of_a_machine_stays_known() -> None:
    mapper = KeplerMapper("n")
    page = 'kepler_container_cpu_cycles_total{container_id="a"} 1\n'
    assert usage(page, mapper).machine == UNKNOWN_MACHINE
    info = 'kepler_node_info{cpu_architecture="Broadwell"} 1\n'
    assert usage(page + info, mapper).machine == MachineSpec(processor="broadwell")
    unknown = info.replace("Broadwell", "unknown")
    assert usage(page + unknown, mapper).machine == MachineSpec(processor="broadwell")
    # An older release named the series twice over.
    older = info.replace("node_info", "node_node_info").replace("Broadwell", "Ice Lake")
    assert usage(page + older, mapper).machine == MachineSpec(processor="ice_lake")


CURRENT = (
    'kepler_node_cpu_active_joules_total{zone="package"} 5\n'
    'kepler_node_cpu_idle_joules_total{zone="package"} 7\n'
    'kepler_node_cpu_usage_ratio{node_name="n"} 0.5\n'
    'kepler_process_cpu_seconds_total{pid="1"} 1.5\n'
    'kepler_node_cpu_info{core_id="0",model_name="Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",'
    'physical_id="0",processor="0",vendor_id="GenuineIntel"} 1\n'
)
LEGACY = (
    'kepler_node_package_joules_total{mode="dynamic",package="0",source="rapl-sysfs"} 5\n'
    'kepler_container_bpf_cpu_time_ms_total{container_id="a"} 5\n'
    'kepler_node_info{cpu_architecture="Broadwell"} 1\n'
)


@pytest.mark.parametrize("page", [CURRENT, LEGACY])
def test_series_without_labels_change_nothing(page: str) -> None:
    """And where none has any, there is nothing to learn from."""
    names = {line.partition("{")[0] for line in page.splitlines()} - {"kepler_node_cpu_usage_ratio"}
    bare = "".join(f"{name} 3\n{name}{{}} 4\n" for name in sorted(names))
    for beside in (page + bare, bare + page):
        mapper, alone = KeplerMapper("n"), KeplerMapper("n")
        assert mapped(beside, mapper) == mapped(page, alone)
        # Nor what is known of the machine later.
        assert mapped(bare, mapper) == []
        later = page.replace(" 5\n", " 6\n")
        assert mapped(later, mapper) == mapped(later, alone)


RENEWED = (
    'kepler_node_package_joules_total{{mode="dynamic",package="0",source="rapl-sysfs"}} {joules}\n'
    'kepler_container_cpu_cycles_total{{container_id="a"}} {cycles}\n'
    'kepler_node_cpu_scaling_frequency_hertz{{cpu="0"}} {hertz}\n'
)


@pytest.mark.parametrize(
    ("joules", "cycles", "hertz", "renewed"),
    [(5, 7, 9, False), (5, 7, 8, False), (6, 7, 9, True), (5, 8, 9, True)],
)
def test_a_page_on_which_no_counter_has_moved_is_none(
    joules: int, cycles: int, hertz: int, renewed: bool
) -> None:
    mapper = KeplerMapper("n")
    first = mapped(RENEWED.format(joules=5, cycles=7, hertz=9), mapper)
    assert (len(first), mapper.renewed) == (2, True)
    second = mapped(RENEWED.format(joules=joules, cycles=cycles, hertz=hertz), mapper)
    assert (len(second), mapper.renewed) == ((2, True) if renewed else (0, False))
    third = mapped(RENEWED.format(joules=9, cycles=9, hertz=9), mapper)
    assert (len(third), mapper.renewed) == (2, True)


@pytest.mark.parametrize(
    "page",
    [
        'kepler_container_cpu_cycles_total{container_id="a"} 1\n',
        'kepler_platform_watts{source="redfish",source_type="PowerSupply"} 195\n',
    ],
)
def test_without_energy_what_stands_still_may_be_true(page: str) -> None:
    mapper = KeplerMapper("n")
    assert mapped(page, mapper) == mapped(page, mapper) != []
    assert mapper.renewed


def test_the_name_of_the_node() -> None:
    target, own = {"instance": "10.0.0.7:9102"}, {"exported_instance": "n1"}
    assert node_named_in([target, {**target, **own}]) == "n1"
    assert node_named_in([{**target, "node_name": "n2"}]) == "n2"
    assert node_named_in([{"instance": "[fe80::1]:9102"}]) == "[fe80::1]"
    assert node_named_in([{"instance": "fe80::1"}]) == "fe80::1"
    assert node_named_in([{"instance": ""}]) is None


def test_counters_declared_by_their_bare_name_are_read_all_the_same() -> None:
    """Kepler declares even its info series as counters, for which parsers add a suffix."""
    page = (
        "# TYPE kepler_node_info counter\n"
        'kepler_node_info{cpu_architecture="Broadwell"} 1\n'
        'kepler_container_cpu_cycles_total{container_id="a"} 1\n'
    )
    assert usage(page).machine.processor == "broadwell"
