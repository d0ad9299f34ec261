"""Who has used how many joules: counters that only rise, and that survive a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from estimator.export.workloads import Process, Workloads

LEVELS: Final = ("process", "container", "pod", "vm")
MOST_PENDING_SECONDS: Final = 60.0
"""Energy that could not be shared for so long is nobody's: who runs later has not used it."""


class ZonePower(NamedTuple):
    """Watts of one zone of the node: above idle, and idle."""

    active: float
    idle: float


class Account:
    """One workload's energy by zone, and its power in the last interval."""

    __slots__ = ("joules", "watts")

    def __init__(self, joules: Mapping[str, float] | None = None) -> None:
        self.joules = dict(joules or {})
        self.watts: dict[str, float] = {}


class Saved(msgspec.Struct, frozen=True):
    """What survives a restart; processes only until the next boot, for ids are used again."""

    version: int
    boot: str
    model: str
    zones: list[str]
    node: dict[str, tuple[float, float]]
    processes: list[tuple[tuple[str, ...], dict[str, float]]]
    groups: dict[str, dict[str, dict[str, float]]]


class Ledger:
    """Counts energy of the node by zone, and shares what is above idle among its workloads.

    At every moment the processes' energy adds up to what was shared of the node's, and what is
    not yet shared, since no workloads could be read, is shared with the next reading. ``zones``
    are those that are shown, and ``model`` is what their power comes from.
    """

    def __init__(self) -> None:
        self.model = ""
        self.zones: set[str] = set()
        self.node: dict[str, ZonePower] = {}
        self.power: dict[str, ZonePower] = {}
        self.processes: dict[Process, Account] = {}
        self.groups: dict[str, dict[str, Account]] = {level: {} for level in LEVELS[1:]}
        self._pending: dict[str, float] = {}
        self._pending_seconds = 0.0

    def draw(self, power: Mapping[str, ZonePower], seconds: float) -> None:
        """Let that power flow for so many seconds: watts become joules of the node."""
        self.power = dict(power)
        for zone, (active, idle) in power.items():
            before = self.node.get(zone, ZonePower(0.0, 0.0))
            self.node[zone] = ZonePower(
                before.active + active * seconds, before.idle + idle * seconds
            )
            self._pending[zone] = self._pending.get(zone, 0.0) + active * seconds
        self._pending_seconds += seconds
        if self._pending_seconds > max(MOST_PENDING_SECONDS, seconds):
            self._pending.clear()

    def share(self, parts: Mapping[Process, float], workloads: Workloads) -> None:
        """Share what is pending by these parts, and close the accounts of what is no more."""
        present = workloads.seconds
        self.processes = {process: self.processes.get(process) or Account() for process in present}
        members = {process: list(workloads.groups(process)) for process in present}
        for level, accounts in self.groups.items():
            alive = {name for group in members.values() for at, name in group if at == level}
            self.groups[level] = {name: accounts.get(name) or Account() for name in sorted(alive)}
        zero = dict.fromkeys(self.power, 0.0)
        for account in self._accounts():
            account.watts = zero.copy()
            account.joules = {**zero, **account.joules}
        for process, part in parts.items():
            self._pay(self.processes[process], part)
            for level, name in members[process]:
                self._pay(self.groups[level][name], part)
        if parts:
            self._pending.clear()
            self._pending_seconds = 0.0

    def withhold_shares(self) -> None:
        """Show no power of workloads while they cannot be read; their energy stays."""
        for account in self._accounts():
            account.watts = {}

    def _pay(self, account: Account, part: float) -> None:
        for zone, (active, _) in self.power.items():
            account.watts[zone] += active * part
            account.joules[zone] += self._pending.get(zone, 0.0) * part

    def _accounts(self) -> Iterable[Account]:
        yield from self.processes.values()
        for accounts in self.groups.values():
            yield from accounts.values()

    def saved(self, boot: str) -> Saved:
        """What `restore` needs."""
        return Saved(
            1,
            boot,
            self.model,
            sorted(self.zones),
            {zone: (each.active, each.idle) for zone, each in self.node.items()},
            [(tuple(process), account.joules) for process, account in self.processes.items()],
            {
                level: {name: account.joules for name, account in accounts.items()}
                for level, accounts in self.groups.items()
            },
        )

    def restore(self, saved: Saved, boot: str) -> None:
        """Go on from what was saved."""
        self.model, self.zones = saved.model, set(saved.zones) & saved.node.keys()
        self.node = {zone: ZonePower(*joules) for zone, joules in saved.node.items()}
        for level in self.groups:
            found = saved.groups.get(level, {})
            self.groups[level] = {name: Account(joules) for name, joules in found.items()}
        if saved.boot == boot:
            self.processes = {Process(*who): Account(joules) for who, joules in saved.processes}
