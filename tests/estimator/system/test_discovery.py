from __future__ import annotations

from pathlib import Path

import pytest

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.system.discovery import discover_machine, processor_name


def cpu(index: int, socket: int) -> str:
    return (
        f"processor\t: {index}\nvendor_id\t: GenuineIntel\n"
        "model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\n"
        f"cpu MHz\t\t: {1000.0 + index}\nphysical id\t: {socket}\n"
        "siblings\t: 4\ncpu cores\t: 2\nflags\t\t: fpu vme\npower management:\n\n"
    )


def tree(root: Path, cpuinfo: str) -> tuple[Path, Path]:
    proc, sysfs = root / "proc", root / "sys"
    proc.mkdir()
    sysfs.mkdir()
    (proc / "cpuinfo").write_text(cpuinfo)
    (proc / "meminfo").write_text("MemTotal:       197628000 kB\nMemFree:  1 kB\n")
    return proc, sysfs


def test_discovers_what_kepler_would(tmp_path: Path) -> None:
    proc, sysfs = tree(tmp_path, "".join(cpu(i, i // 4) for i in range(8)))
    cpufreq = sysfs / "devices/system/cpu/cpu0/cpufreq"
    cpufreq.mkdir(parents=True)
    (cpufreq / "cpuinfo_max_freq").write_text("3700000\n")
    assert discover_machine(proc, sysfs) == MachineSpec(
        vendor="intel",
        processor="intel_xeon_gold_6130",
        cores=8,
        chips=2,
        memory=188,
        frequency=3700,
        threads_per_core=2,
    )


def test_without_frequency_scaling_the_clock_is_rounded_to_hundreds(tmp_path: Path) -> None:
    proc, sysfs = tree(tmp_path, cpu(0, 0).replace("1000.0", "2596.124"))
    assert discover_machine(proc, sysfs).frequency == 2600


def test_arm_is_named_by_its_numbers(tmp_path: Path) -> None:
    proc, sysfs = tree(tmp_path, "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n")
    spec = discover_machine(proc, sysfs)
    assert (spec.processor, spec.cores, spec.chips) == ("arm_0x41_0xd0c", 1, 1)


def test_a_machine_that_tells_nothing_is_unknown(tmp_path: Path) -> None:
    assert discover_machine(tmp_path, tmp_path) is UNKNOWN_MACHINE


@pytest.mark.parametrize(
    ("model_name", "processor"),
    [
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "intel_xeon_platinum_8259cl"),
        ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "intel_core_i7_8650u"),
        ("AMD Ryzen 7 PRO 4750U with Radeon Graphics", "amd_ryzen_7_pro_4750u"),
        ("AMD EPYC", "amd_epyc"),
        ("", ""),
    ],
)
def test_processor_names(model_name: str, processor: str) -> None:
    assert processor_name(model_name) == processor
