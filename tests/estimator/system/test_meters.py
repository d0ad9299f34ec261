from __future__ import annotations

from pathlib import Path

from estimator.system.meters import missing_meters


def test_a_machine_without_a_sysfs_has_no_meters(tmp_path: Path) -> None:
    assert missing_meters(tmp_path) == {"rapl-sysfs", "acpi"}


def test_meters_that_the_kernel_shows_are_not_missing(tmp_path: Path) -> None:
    (tmp_path / "class/powercap/intel-rapl:0").mkdir(parents=True)
    assert missing_meters(tmp_path) == {"acpi"}
    chip = tmp_path / "class/hwmon/hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("nvme\n")
    assert missing_meters(tmp_path) == {"acpi"}
    (chip / "device").mkdir()
    (chip / "device/name").write_text("power_meter\n")
    assert missing_meters(tmp_path) == set()


def test_a_powercap_without_zones_is_no_meter(tmp_path: Path) -> None:
    (tmp_path / "class/powercap/dtpm").mkdir(parents=True)
    assert "rapl-sysfs" in missing_meters(tmp_path)
