"""What machine this is, as the kernel tells it."""

from __future__ import annotations

import re
from pathlib import Path

from estimator.machine import UNKNOWN_MACHINE, MachineSpec

_MARKS = re.compile(r"\((?:r|tm|c)\)|@.*|\bcpu\b|\bprocessor\b|\b\d+-core\b|\bwith .*")
_VENDORS = {"genuineintel": "intel", "authenticamd": "amd", "hygongenuine": "hygon"}
_KIB_PER_GIB = 1024 * 1024


def discover_machine(proc: Path = Path("/proc"), sysfs: Path = Path("/sys")) -> MachineSpec:
    """Describe this machine as Kepler does; what cannot be read stays unknown (0 or "").

    Frequency is the highest that the processor may run at: ``cpuinfo_max_freq``, or what
    ``/proc/cpuinfo`` says where there is no frequency scaling.
    """
    cpus = read_cpuinfo(proc)
    if not cpus:
        return UNKNOWN_MACHINE
    first = cpus[0]
    return MachineSpec(
        vendor=_vendor(first),
        processor=processor_name(first.get("model name", "")) or _arm_processor(first),
        cores=len(cpus),
        chips=len({cpu.get("physical id", "0") for cpu in cpus}),
        memory=_memory_gib(proc),
        frequency=_frequency_mhz(sysfs, cpus),
        threads_per_core=_threads_per_core(first),
    )


def processor_name(model_name: str) -> str:
    """The model name without trade marks and clock, in lower case with underscores.

    >>> processor_name("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz")
    'intel_xeon_gold_6130'
    >>> processor_name("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz")
    'intel_xeon_e5_2686v4'
    >>> processor_name("AMD EPYC 7763 64-Core Processor")
    'amd_epyc_7763'
    """
    plain = _MARKS.sub(" ", model_name.lower())
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_").replace("_v", "v")


def read_cpuinfo(proc: Path) -> list[dict[str, str]]:
    """The fields of each logical processor in ``/proc/cpuinfo``; none if it cannot be read."""
    try:
        text = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    blocks = [
        {key.strip().lower(): value.strip() for key, _, value in _fields(block)}
        for block in text.split("\n\n")
    ]
    return [block for block in blocks if "processor" in block]


def _fields(block: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in block.splitlines() if ":" in line]


def _vendor(cpu: dict[str, str]) -> str:
    vendor = cpu.get("vendor_id", "").lower()
    return _VENDORS.get(vendor, vendor)


def _arm_processor(cpu: dict[str, str]) -> str:
    """ARM kernels name no model: its numbers stand for it."""
    implementer, part = cpu.get("cpu implementer"), cpu.get("cpu part")
    return f"arm_{implementer}_{part}".lower() if implementer and part else ""


def _memory_gib(proc: Path) -> int:
    try:
        text = (proc / "meminfo").read_text(encoding="ascii")
    except (OSError, ValueError):
        return 0
    match = re.search(r"^MemTotal:\s*(\d+) kB", text, re.MULTILINE)
    return int(match[1]) // _KIB_PER_GIB if match else 0


def _frequency_mhz(sysfs: Path, cpus: list[dict[str, str]]) -> int:
    try:
        file = sysfs / "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
        mhz = int(file.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        mhz = max((_number(cpu.get("cpu mhz", "")) for cpu in cpus), default=0.0)
    return round(mhz / 100) * 100


def _threads_per_core(cpu: dict[str, str]) -> int:
    siblings, cores = _number(cpu.get("siblings", "")), _number(cpu.get("cpu cores", ""))
    return round(siblings / cores) if siblings and cores else 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
