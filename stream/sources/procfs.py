"""What the whole node did, from ``/proc``: usage for nodes without Kepler."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from estimator.machine import MachineSpec
from estimator.system.discovery import discover_machine
from estimator.system.node_counters import NodeCounters
from stream.records import VERSION, UsageRecord
from stream.sources.protocol import Record


class ProcSource:
    """One usage record a poll, mode ``counter``, node features only: those of `NodeCounters`.

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
        self._interval_seconds = interval_seconds
        self._machine = discover_machine(proc, sysfs) if machine is None else machine
        self._counters = NodeCounters(proc, sysfs, ticks_per_second)
        self._clock = clock

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
        features = self._counters.read()
        return [
            UsageRecord(
                VERSION,
                self._node,
                at,
                "counter",
                machine=self._machine,
                node_features=features,
            )
        ]

    def close(self) -> None:
        """Nothing is held between polls."""


def found(proc: Path = Path("/proc")) -> bool:
    """Whether this machine has ``/proc/stat``."""
    return (proc / "stat").is_file()
