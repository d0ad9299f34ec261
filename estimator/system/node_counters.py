"""What a whole node did, from ``/proc``: the same counters on metal and inside a guest."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from estimator.errors import SourceUnavailableError
from estimator.system.discovery import read_cpuinfo

_STAT_FIELDS: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_MAY_FALL: Final = frozenset({"iowait", "steal"})
_COUNTED: Final = {
    "ctxt": "context_switches",
    "intr": "interrupts",
    "procs_running": "procs_running",
}
_TIMES: Final = {
    "cpu_user_ms": ("user", "nice"),
    "cpu_system_ms": ("system",),
    "cpu_iowait_ms": ("iowait",),
    "cpu_irq_ms": ("irq", "softirq"),
    "cpu_steal_ms": ("steal",),
    "bpf_cpu_time_ms": ("user", "nice", "system", "irq", "softirq"),
}
_SECTOR_BYTES: Final = 512
"""Of ``diskstats``, whatever the disk's own sectors are."""


class NodeCounters:
    """Reads the features of the group ``NodeStat``, and ``bpf_cpu_time_ms``, once a call.

    Times in ms summed over processors, ``context_switches``, ``interrupts``, ``page_faults``,
    bytes of disks and networks, and the levels ``procs_running``,
    ``cpu_scaling_frequency_hertz`` (mean over processors) and, from the second reading on,
    ``cpu_usage_ratio``. ``bpf_cpu_time_ms`` is all time that
    some processor was busy, which is what Kepler's CPU time adds up to. A feature that this kernel
    does not tell is left out. A time that the kernel takes back (Linux lets iowait and steal fall)
    stands still until it is made up for.
    """

    def __init__(
        self,
        proc: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        ticks_per_second: int | None = None,
    ) -> None:
        self._proc, self._sysfs = proc, sysfs
        self._ms_per_tick = 1000 / (ticks_per_second or os.sysconf("SC_CLK_TCK"))
        self._highest: dict[str, int] = {}
        self._last_user = 0
        self._last_used: tuple[int, int] | None = None

    def read(self) -> dict[str, float]:
        """The counters now by name; ``SourceUnavailableError`` where there is no ``/proc/stat``."""
        features = self._read_stat() | _read_page_faults(self._proc)
        features |= _read_frequency(self._proc, self._sysfs)
        features |= _read_disks(self._proc, self._sysfs) | _read_networks(self._proc, self._sysfs)
        return dict(sorted(features.items()))

    def _read_stat(self) -> dict[str, float]:
        file = self._proc / "stat"
        try:
            lines = file.read_text(encoding="ascii").splitlines()
            rows = {words[0]: words[1:] for line in lines if len(words := line.split()) > 1}
            ticks = dict(zip(_STAT_FIELDS, map(int, rows["cpu"]), strict=False))
            counted = {name: float(rows[row][0]) for row, name in _COUNTED.items() if row in rows}
        except (OSError, ValueError, KeyError) as error:
            raise SourceUnavailableError(f"{file} cannot be read: {error!r}") from error
        return self._times_ms(ticks) | counted | self._usage(ticks)

    def _usage(self, ticks: dict[str, int]) -> dict[str, float]:
        """The part of all processor time since the last reading in which something ran.

        Kepler's ``kepler_node_cpu_usage_ratio``: neither idle time nor that of waiting for disks.
        """
        whole = sum(ticks.values())
        now = (whole - ticks.get("idle", 0) - ticks.get("iowait", 0), whole)
        before, self._last_used = self._last_used, now
        if before is None or now[1] <= before[1]:
            return {}
        ratio = (now[0] - before[0]) / (now[1] - before[1])
        return {"cpu_usage_ratio": min(max(ratio, 0.0), 1.0)}

    def _times_ms(self, ticks: dict[str, int]) -> dict[str, float]:
        """CPU times in ms, none of them ever falling; time of guests is in user already."""
        if ticks["user"] < self._last_user:
            self._highest.clear()  # a true reset: the machine was restored from a snapshot
        self._last_user = ticks["user"]
        steady = {name: self._never_falling(name, value) for name, value in ticks.items()}
        return {
            feature: sum(steady[name] for name in names) * self._ms_per_tick
            for feature, names in _TIMES.items()
            if all(name in steady for name in names)
        }

    def _never_falling(self, name: str, value: int) -> int:
        if name in _MAY_FALL:
            value = self._highest[name] = max(value, self._highest.get(name, 0))
        return value


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _read_page_faults(proc: Path) -> dict[str, float]:
    match = re.search(r"^pgfault (\d+)$", _text(proc / "vmstat"), re.MULTILINE)
    return {"page_faults": float(match[1])} if match else {}


def _read_frequency(proc: Path, sysfs: Path) -> dict[str, float]:
    """The mean over processors in hertz: from cpufreq, else from what cpuinfo says."""
    files = (sysfs / "devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    khz = [_text(file).strip() for file in files]
    hertz = [int(text) * 1e3 for text in khz if text.isdecimal()]
    if not hertz:
        mhz = [cpu.get("cpu mhz", "") for cpu in read_cpuinfo(proc)]
        hertz = [float(text) * 1e6 for text in mhz if re.fullmatch(r"\d+(\.\d+)?", text)]
    return {"cpu_scaling_frequency_hertz": sum(hertz) / len(hertz)} if hertz else {}


def _read_disks(proc: Path, sysfs: Path) -> dict[str, float]:
    """Bytes read from and written to disks; not those of partitions, loops and mappings."""
    rows = [line.split() for line in _text(proc / "diskstats").splitlines()]
    sectors = {row[2]: (row[5], row[9]) for row in rows if len(row) > 9}
    read, written = _sums(sectors, sysfs / "block", ("loop", "ram", "dm-", "md", "zram"))
    if not sectors:
        return {}
    return {"disk_read_bytes": read * _SECTOR_BYTES, "disk_write_bytes": written * _SECTOR_BYTES}


def _read_networks(proc: Path, sysfs: Path) -> dict[str, float]:
    """Bytes received and sent by network cards; not by loopback, bridges and guests' taps."""
    # Of process 1: ``/proc/net`` is that of whoever reads it.
    text = _text(proc / "1/net/dev") or _text(proc / "net/dev")
    fields = [line.partition(":") for line in text.splitlines() if ":" in line]
    rows = {name.strip(): rest.split() for name, _, rest in fields}
    counted = {name: (row[0], row[8]) for name, row in rows.items() if len(row) > 8}
    received, sent = _sums(counted, sysfs / "class/net", ("lo",))
    return {"net_receive_bytes": received, "net_transmit_bytes": sent} if counted else {}


def _sums(
    counted: dict[str, tuple[str, str]], folder: Path, never: tuple[str, ...]
) -> tuple[float, float]:
    """The two sums over what is a device of its own; over all but ``never`` if that is unknown."""
    real = {name for name in counted if (folder / name / "device").exists()}
    if not real:
        real = {name for name in counted if not name.startswith(never)}
    pairs = [counted[name] for name in sorted(real)]
    good = [(float(a), float(b)) for a, b in pairs if a.isdecimal() and b.isdecimal()]
    return sum(a for a, _ in good), sum(b for _, b in good)
