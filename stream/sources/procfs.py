"""What the whole node did, from ``/proc``: usage for nodes without Kepler."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from estimator.discovery import discover_machine, read_cpuinfo
from estimator.errors import SourceUnavailableError
from estimator.machine import MachineSpec
from stream.records import VERSION, UsageRecord
from stream.sources.protocol import Record

_STAT_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_MAY_FALL = frozenset({"iowait", "steal"})
_COUNTED = {"ctxt": "context_switches", "intr": "interrupts", "procs_running": "procs_running"}


class ProcSource:
    """One usage record a poll, mode ``counter``, node features only.

    The features are those of the group ``NodeStat``: times in ms summed over processors,
    ``context_switches``, ``interrupts``, ``page_faults``, and the levels ``procs_running`` and
    ``cpu_scaling_frequency_hertz`` (mean over processors); beside them ``bpf_cpu_time_ms``, all
    time that some processor was busy, which is what Kepler's CPU time adds up to. A feature that
    this kernel does not tell is left out. A time that the kernel takes back (Linux lets iowait
    and steal fall) stands still until it is made up for.

    Raises ``SourceUnavailableError`` from ``poll`` when ``/proc/stat`` cannot be read.
    """

    def __init__(
        self,
        node: str,
        proc: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        *,
        interval_seconds: float | None = 3.0,
        machine: MachineSpec | None = None,
        ticks_per_second: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node = node
        self._proc = proc
        self._sysfs = sysfs
        self._interval_seconds = interval_seconds
        self._machine = discover_machine(proc, sysfs) if machine is None else machine
        self._ms_per_tick = 1000 / (ticks_per_second or os.sysconf("SC_CLK_TCK"))
        self._clock = clock
        self._highest: dict[str, int] = {}
        self._last_user = 0

    @property
    def name(self) -> str:
        """What this source reads."""
        return f"procfs {self._proc}"

    @property
    def interval_seconds(self) -> float | None:
        """How often to ask."""
        return self._interval_seconds

    def poll(self) -> list[Record] | None:
        """Read the node's counters once."""
        at = round(self._clock() * 1000)
        features = self._read_stat() | _read_page_faults(self._proc)
        features |= _read_frequency(self._proc, self._sysfs)
        return [
            UsageRecord(
                VERSION,
                self._node,
                at,
                "counter",
                machine=self._machine,
                node_features=dict(sorted(features.items())),
            )
        ]

    def close(self) -> None:
        """Nothing is held between polls."""

    def _read_stat(self) -> dict[str, float]:
        file = self._proc / "stat"
        try:
            lines = file.read_text(encoding="ascii").splitlines()
            rows = {words[0]: words[1:] for line in lines if len(words := line.split()) > 1}
            ticks = dict(zip(_STAT_FIELDS, map(int, rows["cpu"]), strict=False))
            counted = {name: float(rows[row][0]) for row, name in _COUNTED.items() if row in rows}
        except (OSError, ValueError, KeyError) as error:
            raise SourceUnavailableError(f"{file} cannot be read: {error!r}") from error
        return self._times_ms(ticks) | counted

    def _times_ms(self, ticks: dict[str, int]) -> dict[str, float]:
        """CPU times in ms, none of them ever falling; time of guests is in user already."""
        if ticks["user"] < self._last_user:
            self._highest.clear()  # a true reset: the machine was restored from a snapshot
        self._last_user = ticks["user"]
        steady = {name: self._never_falling(name, value) for name, value in ticks.items()}
        parts = {
            "cpu_user_ms": ("user", "nice"),
            "cpu_system_ms": ("system",),
            "cpu_iowait_ms": ("iowait",),
            "cpu_irq_ms": ("irq", "softirq"),
            "cpu_steal_ms": ("steal",),
            "bpf_cpu_time_ms": ("user", "nice", "system", "irq", "softirq"),
        }
        return {
            feature: sum(steady[name] for name in names) * self._ms_per_tick
            for feature, names in parts.items()
            if all(name in steady for name in names)
        }

    def _never_falling(self, name: str, value: int) -> int:
        if name in _MAY_FALL:
            value = self._highest[name] = max(value, self._highest.get(name, 0))
        return value


def found(proc: Path = Path("/proc")) -> bool:
    """Whether this machine has ``/proc/stat``."""
    return (proc / "stat").is_file()


def _read_page_faults(proc: Path) -> dict[str, float]:
    try:
        text = (proc / "vmstat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return {}
    match = re.search(r"^pgfault (\d+)$", text, re.MULTILINE)
    return {"page_faults": float(match[1])} if match else {}


def _read_frequency(proc: Path, sysfs: Path) -> dict[str, float]:
    """The mean over processors in hertz: from cpufreq, else from what cpuinfo says."""
    hertz: list[float] = []
    for file in (sysfs / "devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        try:
            hertz.append(int(file.read_text(encoding="ascii")) * 1e3)
        except (OSError, ValueError):
            continue
    if not hertz:
        mhz = [cpu.get("cpu mhz", "") for cpu in read_cpuinfo(proc)]
        hertz = [float(text) * 1e6 for text in mhz if re.fullmatch(r"\d+(\.\d+)?", text)]
    return {"cpu_scaling_frequency_hertz": sum(hertz) / len(hertz)} if hertz else {}
