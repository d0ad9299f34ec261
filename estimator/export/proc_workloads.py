"""The processes of this machine from ``/proc``, with the containers, pods and VMs they are of."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from estimator.errors import SourceUnavailableError
from estimator.export.workloads import Process, Workloads

_CONTAINER: Final = re.compile(
    r"(docker|crio|libpod|cri-containerd|containerd)?[-/:]?([0-9a-f]{64})"
)
_POD: Final = re.compile(
    r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})"
)
_RUNTIMES: Final = {"cri-containerd": "containerd", "libpod": "podman"}
_UUID: Final = re.compile(r"^[0-9a-fA-F-]{36}$")
_STAT_TIMES: Final = slice(11, 13)
_STAT_START: Final = 19
"""Places in ``/proc/PID/stat`` after the name: user and system ticks, and when it began."""


class _Known(NamedTuple):
    began: str
    comm: str
    process: Process


class ProcWorkloads:
    """Reads processes; what one is, is read once, and again when its name changes."""

    def __init__(self, proc: Path = Path("/proc"), ticks_per_second: int | None = None) -> None:
        self._proc = str(proc)
        self._tick_seconds = 1.0 / (ticks_per_second or os.sysconf("SC_CLK_TCK"))
        self._known: dict[str, _Known] = {}
        self._containers: dict[str, tuple[str, ...]] = {}
        self._vms: dict[str, tuple[str, ...]] = {}

    def read(self) -> Workloads:
        """All processes now; ``SourceUnavailableError`` where there is no ``/proc``."""
        found = Workloads()
        try:
            names = os.listdir(self._proc)  # noqa: PTH208  # thousands of Paths would be made
        except OSError as error:
            raise SourceUnavailableError(f"{self._proc}: {error.strerror}") from error
        known, self._known = self._known, {}
        for pid in names:
            if not pid.isdecimal():
                continue
            stat = self._text(pid, "stat")
            comm, _, rest = stat.partition("(")[2].rpartition(")")
            words = rest.split()
            if len(words) <= _STAT_START:
                continue  # It has ended in the meantime.
            began, ticks = words[_STAT_START], sum(map(int, words[_STAT_TIMES]))
            before = known.get(pid)
            if before is None or before.began != began or before.comm != comm:
                before = _Known(began, comm, self._describe(pid, comm))
            self._known[pid] = before
            found.add(before.process, ticks * self._tick_seconds)
        found.containers, found.vms = self._containers, self._vms
        found.pods = {
            values[3]: (values[3], "", "") for values in self._containers.values() if values[3]
        }
        return found

    def _describe(self, pid: str, comm: str) -> Process:
        try:
            exe = str(Path(self._proc, pid, "exe").readlink())
        except OSError:
            exe = ""  # a thread of the kernel, or somebody else's
        container, vm = self._container(pid), self._vm(pid, comm)
        kind = "vm" if vm else "container" if container else "regular"
        return Process(pid, comm, exe, kind, container, vm)

    def _container(self, pid: str) -> str:
        text = self._text(pid, "cgroup")
        match = _CONTAINER.search(text)
        if match is None:
            return ""
        pod = _POD.search(text)
        runtime = match[1] or ("kubernetes" if pod else "")
        self._containers.setdefault(
            match[2],
            (
                match[2],
                "",
                _RUNTIMES.get(runtime, runtime),
                pod[1].replace("_", "-") if pod else "",
            ),
        )
        return match[2]

    def _vm(self, pid: str, comm: str) -> str:
        """The id of the VM that a QEMU process is: its ``-uuid``, else its name."""
        if not comm.startswith(("qemu", "kvm")):
            return ""
        words = self._text(pid, "cmdline").split("\0")
        given = dict(pairwise(words))
        parts = given.get("-name", "").split(",")
        name = next((part[6:] for part in parts if part.startswith("guest=")), parts[0])
        uuid = given.get("-uuid", "")
        identity = uuid if _UUID.match(uuid) else name
        if identity:
            self._vms.setdefault(identity, (identity, name, "kvm"))
        return identity

    def _text(self, pid: str, file: str) -> str:
        # Plain open: this is done for every process at every reading.
        try:
            with open(f"{self._proc}/{pid}/{file}", encoding="utf-8", errors="replace") as opened:  # noqa: PTH123
                return opened.read()
        except OSError:
            return ""
