from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from estimator.errors import SourceUnavailableError
from stream.records import PowerRecord, decode_power, encode
from stream.sources import hwmon
from stream.sources.hwmon import HwmonSource


def chip(sysfs: Path, number: int, name: str, files: Mapping[str, object], below: str = "") -> Path:
    folder = sysfs / "class/hwmon" / f"hwmon{number}"
    (folder / below).mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for file, value in files.items():
        (folder / below / file).write_text(f"{value}\n")
    return folder


def platform_watts(sysfs: Path) -> float:
    records = HwmonSource("n1", sysfs, clock=lambda: 3.0).poll()
    assert records is not None
    (record,) = records
    assert isinstance(record, PowerRecord)
    assert decode_power(encode(record)) == record
    assert (record.node, record.at, record.source) == ("n1", 3000, "acpi")
    assert record.watts is not None
    assert set(record.watts) == {"platform"}
    return record.watts["platform"]


@pytest.mark.parametrize("below", ["", "device"])
def test_reads_microwatts_wherever_the_kernel_puts_the_file(tmp_path: Path, below: str) -> None:
    chip(tmp_path, 4, "power_meter", {"power1_average": 215_500_000}, below)
    assert platform_watts(tmp_path) == 215.5


def test_the_name_may_be_under_device_only(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "power_meter", {"power1_average": 1_000_000}, "device")
    (folder / "name").rename(folder / "device/name")
    assert platform_watts(tmp_path) == 1.0


def test_several_meters_add_up_and_limits_do_not(tmp_path: Path) -> None:
    files = {
        "power1_average": 100_000_000,
        "power2_average": 50_000_000,
        "power1_average_interval": 1000,
        "power1_cap": 900_000_000,
    }
    chip(tmp_path, 0, "power_meter", files)
    chip(tmp_path, 1, "power_meter", {"power1_average": 7_000_000})
    assert platform_watts(tmp_path) == 157.0


def test_files_that_appear_twice_count_once(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "power_meter", {"power1_average": 5_000_000})
    (folder / "device").mkdir()
    (folder / "device/power1_average").write_text("5000000\n")
    assert platform_watts(tmp_path) == 5.0


def test_other_chips_are_no_platform_power(tmp_path: Path) -> None:
    chip(tmp_path, 0, "amdgpu", {"power1_average": 30_000_000})
    chip(tmp_path, 1, "acpitz", {"temp1_input": 42000})
    assert not hwmon.found(tmp_path)
    with pytest.raises(SourceUnavailableError, match="no ACPI power meter"):
        HwmonSource("n1", tmp_path).poll()
    chip(tmp_path, 2, "power_meter", {"power1_average": 200_000_000})
    assert hwmon.found(tmp_path)
    assert platform_watts(tmp_path) == 200.0


@pytest.mark.parametrize("value", ["", "busy", -1])
def test_a_meter_that_cannot_be_read_makes_the_sum_unavailable(
    tmp_path: Path, value: object
) -> None:
    chip(tmp_path, 0, "power_meter", {"power1_average": 1, "power2_average": value})
    with pytest.raises(SourceUnavailableError, match="power2_average"):
        HwmonSource("n1", tmp_path).poll()
