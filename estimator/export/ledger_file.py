"""The ledger on disk, in the data folder, written before anybody is shown what it says."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import msgspec

from estimator.export.ledger import Ledger, Saved
from estimator.export.workloads import PROCESS_LABELS

VERSION: Final = 1

_log = logging.getLogger(__name__)


class LedgerFile:
    """One file, replaced as a whole. Where it cannot be written, counters begin anew one day."""

    def __init__(self, path: Path, boot: str = "") -> None:
        """``boot`` tells this run of the system from others."""
        self._path, self._boot = path, boot
        self._complained = False

    def load(self) -> Ledger:
        """The ledger as it was written last; an empty one, and a warning, if it is damaged."""
        ledger = Ledger()
        try:
            saved = msgspec.json.decode(self._path.read_bytes(), type=Saved)
            if saved.version != VERSION:
                raise ValueError(f"version is {saved.version}: {VERSION} is needed")
            if any(len(who) != len(PROCESS_LABELS) for who, _ in saved.processes):
                raise ValueError(f"a process has not {len(PROCESS_LABELS)} labels")
        except FileNotFoundError:
            return ledger
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s: %s; joules begin at 0", self._path, error)
            return ledger
        ledger.restore(saved, self._boot)
        return ledger

    def save(self, ledger: Ledger) -> None:
        """Write it; a file that cannot be written is said once."""
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(ledger.saved(self._boot)))
            fresh.replace(self._path)
        except OSError as error:
            if not self._complained:
                _log.warning("joules will not survive a restart: %s", error)
            self._complained = True
        else:
            self._complained = False


def boot_id(proc: Path = Path("/proc")) -> str:
    """What tells this boot of the system from all others; empty where the kernel says nothing."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
