from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import SourceUnavailableError
from stream.records import PowerRecord, Zone, decode_power, encode
from stream.sources import rapl
from stream.sources.rapl import RaplSource

PACKAGE_RANGE = 262143328850


def zone(sysfs: Path, folder: str, name: str, energy: object, wraps_at: object = None) -> Path:
    path = sysfs / "class/powercap" / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{energy}\n")
    if wraps_at is not None:
        (path / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    return path


def poll(sysfs: Path) -> dict[tuple[str, str], Zone]:
    records = RaplSource("n1", sysfs, clock=lambda: 12.5).poll()
    assert records is not None
    (record,) = records
    assert isinstance(record, PowerRecord)
    assert decode_power(encode(record)) == record
    assert (record.node, record.at, record.source) == ("n1", 12500, "rapl-sysfs")
    assert record.zones is not None
    return {(zone.component, zone.zone): zone for zone in record.zones}


def test_reads_joules_and_the_range_of_every_zone(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:0:0", "core", 2_500_000, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:0:1", "uncore", 500_000, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:0:2", "dram", 1_000_000, 65532610987)
    zones = poll(tmp_path)
    assert zones["package", "package-0"] == Zone("package", "package-0", 5.0, PACKAGE_RANGE / 1e6)
    assert zones["core", "package-0/core"].joules == 2.5
    assert zones["uncore", "package-0/uncore"].joules == 0.5
    assert zones["dram", "package-0/dram"].wraps_at == 65532.610987


def test_a_second_package_is_found_behind_psys(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:1", "psys", 2, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:2", "package-1", 3, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:2:0", "dram", 4, PACKAGE_RANGE)
    assert set(poll(tmp_path)) == {
        ("package", "package-0"),
        ("package", "package-1"),
        ("psys", "psys"),
        ("dram", "package-1/dram"),
    }


def test_mmio_shows_the_same_energy_and_is_left_out(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 9_000_000, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000, PACKAGE_RANGE)
    assert poll(tmp_path)["package", "package-0"].joules == 5.0


def test_mmio_alone_is_better_than_nothing(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 9_000_000, PACKAGE_RANGE)
    assert poll(tmp_path)["package", "package-0"].joules == 9.0


def test_two_zones_of_one_name_stay_two(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:1", "package-0", 2_000_000)
    assert sorted(zone.joules for zone in poll(tmp_path).values()) == [1.0, 2.0]


def test_the_control_folder_and_strangers_are_no_zones(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl", "intel-rapl", 1)
    zone(tmp_path, "dtpm:0", "package-0", 2)
    zone(tmp_path, "intel-rapl:0", "package-0", 3_000_000)
    assert [zone.joules for zone in poll(tmp_path).values()] == [3.0]


@pytest.mark.parametrize("energy", ["", "n/a", "-4", PACKAGE_RANGE + 1])
def test_a_counter_that_makes_no_sense_is_set_aside(tmp_path: Path, energy: object) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", energy, PACKAGE_RANGE)
    zone(tmp_path, "intel-rapl:1", "package-1", 7_000_000, PACKAGE_RANGE)
    source = RaplSource("n1", tmp_path, clock=lambda: 1.0)
    records = source.poll()
    assert records is not None
    assert isinstance(records[0], PowerRecord)
    assert [zone.zone for zone in records[0].zones or []] == ["package-1"]
    assert source.set_aside == 1


def test_without_a_range_the_counter_never_wraps(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    zone(tmp_path, "intel-rapl:1", "package-1", 1, 0)
    assert {zone.wraps_at for zone in poll(tmp_path).values()} == {None}


def test_a_zone_may_vanish_and_come_back(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    folder = zone(tmp_path, "intel-rapl:1", "package-1", 2)
    assert len(poll(tmp_path)) == 2
    (folder / "energy_uj").unlink()
    assert len(poll(tmp_path)) == 1
    (folder / "energy_uj").write_text("3\n")
    assert len(poll(tmp_path)) == 2


def test_no_zone_at_all_is_unavailable(tmp_path: Path) -> None:
    assert not rapl.found(tmp_path)
    with pytest.raises(SourceUnavailableError, match="no RAPL counter under"):
        RaplSource("n1", tmp_path).poll()


def test_denied_permission_names_the_file_and_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj"
    file.chmod(0)
    if os.access(file, os.R_OK):  # root may read everything: have the kernel's answer instead
        read_text = Path.read_text

        def refuse(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
            if self == file:
                raise PermissionError(13, "Permission denied", str(self))
            return read_text(self, encoding, errors)

        monkeypatch.setattr(Path, "read_text", refuse)
    assert rapl.found(tmp_path)
    assert str(file) in (rapl.denied(tmp_path) or "")
    with pytest.raises(SourceUnavailableError) as caught:
        RaplSource("n1", tmp_path).poll()
    message = str(caught.value)
    assert str(file) in message
    assert "run as root" in message
    assert "chmod o+r" in message
    assert "\n" not in message


def test_nothing_is_denied_where_a_zone_can_be_read(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    assert rapl.denied(tmp_path) is None


@given(energy=st.integers(0, PACKAGE_RANGE))
def test_every_counter_within_its_range_is_a_valid_zone(
    tmp_path_factory: pytest.TempPathFactory, energy: int
) -> None:
    sysfs = tmp_path_factory.mktemp("sys")
    zone(sysfs, "intel-rapl:0", "package-0", energy, PACKAGE_RANGE)
    assert poll(sysfs)["package", "package-0"].joules == pytest.approx(energy / 1e6)
