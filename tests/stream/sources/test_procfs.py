from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import SourceUnavailableError
from estimator.machine import MachineSpec
from estimator.vocabulary import FEATURE_GROUPS, groups_satisfied_by
from stream.records import UsageRecord, decode_usage, encode
from stream.sources import procfs
from stream.sources.procfs import ProcSource

STAT = """cpu  100 20 30 4000 {iowait} 3 4 {steal} 9 0
cpu0 50 10 15 2000 3 1 2 2 0 0
intr 777 1 2 3
ctxt 12345
btime 1700000000
procs_running 3
procs_blocked 0
"""

DISKS = """   8       0 sda 10 0 100 7 20 0 200 9 0 0 0
   8       1 sda1 9 0 90 7 20 0 190 9 0 0 0
   7       0 loop0 5 0 50 1 0 0 0 0 0 0 0
"""
NETWORKS = """Inter-|   Receive
 face |bytes    packets
    lo:  999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0
  eth0: 1000 9 0 0 0 0 0 0 2000 8 0 0 0 0 0 0
docker0: 70 1 0 0 0 0 0 0 80 1 0 0 0 0 0 0
"""


def machine_files(root: Path, iowait: int = 5, steal: int = 6) -> None:
    (root / "stat").write_text(STAT.format(iowait=iowait, steal=steal))
    (root / "vmstat").write_text("nr_free_pages 5\npgfault 4321\npgmajfault 7\n")
    (root / "cpuinfo").write_text("processor: 0\ncpu MHz: 2000\n\nprocessor: 1\ncpu MHz: 3000\n")
    (root / "diskstats").write_text(DISKS)
    (root / "net").mkdir(exist_ok=True)
    (root / "net/dev").write_text(NETWORKS)


def source(root: Path) -> ProcSource:
    return ProcSource("n1", root, root, ticks_per_second=100, clock=lambda: 2.0)


def features(of: ProcSource) -> dict[str, float]:
    records = of.poll()
    assert records is not None
    (record,) = records
    assert isinstance(record, UsageRecord)
    assert decode_usage(encode(record)) == record
    assert (record.node, record.at, record.mode) == ("n1", 2000, "counter")
    return record.node_features


def test_every_feature_of_the_group_in_its_unit(tmp_path: Path) -> None:
    machine_files(tmp_path)
    assert features(source(tmp_path)) == {
        "bpf_cpu_time_ms": 1570.0,
        "context_switches": 12345.0,
        "cpu_iowait_ms": 50.0,
        "cpu_irq_ms": 70.0,
        "cpu_scaling_frequency_hertz": 2.5e9,
        "cpu_steal_ms": 60.0,
        "cpu_system_ms": 300.0,
        "cpu_user_ms": 1200.0,
        "disk_read_bytes": 190 * 512.0,
        "disk_write_bytes": 390 * 512.0,
        "interrupts": 777.0,
        "net_receive_bytes": 1070.0,
        "net_transmit_bytes": 2080.0,
        "page_faults": 4321.0,
        "procs_running": 3.0,
    }


def test_the_groups_for_nodes_without_kepler_are_satisfied(tmp_path: Path) -> None:
    machine_files(tmp_path)
    assert groups_satisfied_by(features(source(tmp_path))) == ["CPUTime", "NodeStat"]


def test_frequency_comes_from_cpufreq_where_there_is_one(tmp_path: Path) -> None:
    machine_files(tmp_path)
    for index, khz in enumerate((1_000_000, 1_500_000)):
        folder = tmp_path / f"devices/system/cpu/cpu{index}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    assert features(source(tmp_path))["cpu_scaling_frequency_hertz"] == 1.25e9


def test_devices_count_and_what_is_made_of_them_does_not(tmp_path: Path) -> None:
    machine_files(tmp_path)
    for device in ("block/sda/device", "class/net/eth0/device"):
        (tmp_path / device).mkdir(parents=True)
    found = features(source(tmp_path))
    assert (found["disk_read_bytes"], found["disk_write_bytes"]) == (51200.0, 102400.0)
    assert (found["net_receive_bytes"], found["net_transmit_bytes"]) == (1000.0, 2000.0)


def test_what_the_machine_lacks_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 4000\nprocs_running 1\n")
    assert features(source(tmp_path)) == {
        "cpu_system_ms": 300.0,
        "cpu_user_ms": 1200.0,
        "procs_running": 1.0,
    }
    missing = set(FEATURE_GROUPS["NodeStat"]) - set(features(source(tmp_path)))
    assert "cpu_steal_ms" in missing


def test_times_that_the_kernel_takes_back_stand_still(tmp_path: Path) -> None:
    machine_files(tmp_path, iowait=50, steal=40)
    reader = source(tmp_path)
    features(reader)
    machine_files(tmp_path, iowait=48, steal=39)
    later = features(reader)
    assert (later["cpu_iowait_ms"], later["cpu_steal_ms"]) == (500.0, 400.0)
    machine_files(tmp_path, iowait=60, steal=41)
    assert features(reader)["cpu_iowait_ms"] == 600.0


def test_the_usage_ratio_is_that_since_the_last_reading(tmp_path: Path) -> None:
    reader = source(tmp_path)
    (tmp_path / "stat").write_text("cpu  100 0 50 800 50\n")
    assert "cpu_usage_ratio" not in features(reader)
    (tmp_path / "stat").write_text("cpu  120 0 60 860 60\n")
    assert features(reader)["cpu_usage_ratio"] == 0.3
    (tmp_path / "stat").write_text("cpu  1 0 1 9 2\n")
    assert "cpu_usage_ratio" not in features(reader)


def test_a_true_reset_is_not_hidden(tmp_path: Path) -> None:
    machine_files(tmp_path, iowait=50)
    reader = source(tmp_path)
    features(reader)
    (tmp_path / "stat").write_text("cpu  1 0 1 9 2 0 0 0 0 0\n")
    assert features(reader)["cpu_iowait_ms"] == 20.0


def test_the_machine_goes_with_the_record(tmp_path: Path) -> None:
    machine_files(tmp_path)
    (record,) = source(tmp_path).poll() or []
    assert isinstance(record, UsageRecord)
    assert record.machine == MachineSpec(cores=2, chips=1, frequency=3000)


@pytest.mark.parametrize("stat", [None, "", "cpu  x y z\n", "intr 5\n"])
def test_a_stat_that_cannot_be_read_is_unavailable(tmp_path: Path, stat: str | None) -> None:
    if stat is not None:
        (tmp_path / "stat").write_text(stat)
    assert procfs.found(tmp_path) == (stat is not None)
    with pytest.raises(SourceUnavailableError, match="stat cannot be read"):
        source(tmp_path).poll()
