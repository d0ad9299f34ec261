"""Whether virtual processors have real ones of their own, as far as it can be seen from here."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

READINGS: Final = 60
_LEAST_READINGS: Final = 10
_VARIES_USAGE, _VARIES_SWITCHES, _ERROR = 0.15, 0.2, 0.1
"""From what on the proposal counts usage, context switches and the model's error as noisy."""


class Pinning:
    """The proposal's three figures.

    ``isolation`` is the share of this system's processors that are isolated from the scheduler;
    ``enabled`` whether all of the VMs here are bound to some of the processors, or, in a system
    without VMs, whether all of its processors are isolated. A guest cannot see what its host binds
    it to. ``score`` is the proposal's: 0.3 for usage that varies by more than 15 %, 0.4 for
    context switches that vary by more than 20 %, 0.3 for a model that is wrong by more than 10 %.
    """

    def __init__(self, proc: Path = Path("/proc"), sysfs: Path = Path("/sys")) -> None:
        self._proc, self._cpus = proc, sysfs / "devices/system/cpu"
        self._usage: deque[float] = deque(maxlen=READINGS)
        self._switches: deque[float] = deque(maxlen=READINGS)
        self.enabled, self.isolation, self.score = False, 0.0, 0.0

    def update(self, rates: Mapping[str, float], error: float | None, vms: Iterable[str]) -> None:
        """Take in a reading: the node's rates, the model's relative error, the VMs' processes."""
        if "bpf_cpu_time_ms" in rates:
            self._usage.append(rates["bpf_cpu_time_ms"])
        if "context_switches" in rates:
            self._switches.append(rates["context_switches"])
        online = processors(_text(self._cpus / "online"))
        isolated = processors(_text(self._cpus / "isolated"))
        self.isolation = len(isolated & online) / len(online) if online else 0.0
        bound = [
            bool(allowed) and allowed < online
            for pid in vms
            if (allowed := self._allowed(pid)) is not None
        ]
        self.enabled = all(bound) if bound else self.isolation == 1.0
        self.score = (
            0.3 * (_varies(self._usage) > _VARIES_USAGE)
            + 0.4 * (_varies(self._switches) > _VARIES_SWITCHES)
            + 0.3 * (error is not None and error > _ERROR)
        )

    def _allowed(self, pid: str) -> set[int] | None:
        for line in _text(self._proc / pid / "status").splitlines():
            if line.startswith("Cpus_allowed_list:"):
                return processors(line.partition(":")[2])
        return None


def processors(text: str) -> set[int]:
    """The processors of a list as the kernel writes them.

    >>> sorted(processors("0-2,7"))
    [0, 1, 2, 7]
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), int(last or first) + 1))
    return found


def _varies(values: deque[float]) -> float:
    """The coefficient of variation; 0 of too few values."""
    if len(values) < _LEAST_READINGS:
        return 0.0
    mean = statistics.fmean(values)
    return statistics.pstdev(values, mean) / mean if mean > 0.0 else 0.0


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
