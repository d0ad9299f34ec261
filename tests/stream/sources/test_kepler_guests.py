"""What a host's Kepler says of its guests, as labels for what the guests publish."""

from __future__ import annotations

from stream.records import PowerRecord, Zone
from stream.sources.kepler_exposition import read_exposition
from stream.sources.kepler_guests import guest_power
from stream.sources.kepler_mapping import SCRAPED, KeplerMapper

REAL = "/sys/class/powercap/intel-rapl:0"
FAKE = "/sys/class/powercap/intel-rapl/energy_package"


def vm(
    name: str, joules: float, zone: str = "package", state: str = "running", more: str = ""
) -> str:
    labels = f'hypervisor="kvm",state="{state}",vm_id="{name}",vm_name="{name}-name",zone="{zone}"'
    return f"kepler_vm_cpu_joules_total{{{labels}{more}}} {joules}\n"


def process(pid: int, name: str, joules: float, state: str = "running") -> str:
    labels = f'pid="{pid}",state="{state}",type="vm",vm_id="{name}",zone="package"'
    return f"kepler_process_cpu_joules_total{{{labels}}} {joules}\n"


def node(path: str) -> str:
    return (
        f'kepler_node_cpu_active_joules_total{{path="{path}",zone="package"}} 10\n'
        f'kepler_node_cpu_idle_joules_total{{path="{path}",zone="package"}} 20\n'
    )


def read(page: str) -> list[PowerRecord]:
    return guest_power(read_exposition(page, "text/plain", SCRAPED).families, 5000, "host-1")


def test_each_guest_is_a_node_of_its_own_with_the_host_in_its_zones() -> None:
    page = vm("b", 7.5) + vm("a", 3.0) + vm("a", 1.0, "DRAM")
    assert read(page) == [
        PowerRecord(
            1,
            "a",
            5000,
            "hypervisor",
            zones=[Zone("dram", "host-1/dram", 1.0), Zone("package", "host-1/package", 3.0)],
        ),
        PowerRecord(1, "b", 5000, "hypervisor", zones=[Zone("package", "host-1/package", 7.5)]),
    ]


def test_without_the_level_of_machines_their_processes_add_up() -> None:
    page = process(1, "a", 2.0) + process(2, "a", 3.0) + process(3, "", 9.0) + process(4, "b", 1.0)
    assert {one.node: one.zones[0].joules for one in read(page) if one.zones} == {
        "a": 5.0,
        "b": 1.0,
    }
    both = page + vm("a", 4.0)
    assert {one.node: one.zones[0].joules for one in read(both) if one.zones} == {"a": 4.0}


def test_what_has_ended_what_was_estimated_and_what_is_no_zone_is_no_label() -> None:
    page = (
        vm("a", 2.0, state="terminated")
        + vm("b", 2.0, more=',vm_model="xeon.rapl-sysfs.AbsPower.NodeStat"')
        + vm("c", 2.0, zone="battery")
        + vm("", 2.0)
    )
    assert read(page) == []


def test_a_fake_meter_teaches_nothing() -> None:
    assert read(node(FAKE) + vm("a", 2.0)) == []
    assert len(read(node(REAL) + vm("a", 2.0))) == 1


def test_nor_does_it_teach_of_the_host_and_nor_do_estimates() -> None:
    estimated = node(REAL).replace('zone="package"', 'vm_model="m",zone="package"')
    for page in (node(FAKE), estimated):
        families = read_exposition(page, "text/plain", SCRAPED).families
        assert not [
            one
            for one in KeplerMapper("host-1").records(families, 5000)
            if isinstance(one, PowerRecord)
        ]


def test_a_scrape_has_the_hosts_power_and_its_guests() -> None:
    families = read_exposition(node(REAL) + vm("a", 2.0), "text/plain", SCRAPED).families
    records = KeplerMapper("host-1").records(families, 5000)
    assert [(one.node, one.source) for one in records if isinstance(one, PowerRecord)] == [
        ("host-1", "rapl-sysfs"),
        ("a", "hypervisor"),
    ]


def test_joules_of_processes_that_are_no_machines_are_not_even_parsed() -> None:
    page = process(1, "", 2.0) + process(2, "a", 3.0)
    samples = read_exposition(page, "text/plain", SCRAPED).families["kepler_process_cpu_joules"]
    assert [sample.labels["pid"] for sample in samples] == ["2"]
