"""Energy counters of the processor (RAPL) as the kernel's powercap interface shows them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from estimator.errors import SourceUnavailableError
from estimator.vocabulary import RAPL
from stream.records import VERSION, PowerRecord, Zone
from stream.sources.protocol import Record

_log = logging.getLogger(__name__)
_ZONE_FOLDER = re.compile(r"(intel-rapl(?:-mmio)?):(\d+)((?::\d+)*)")
_MICROJOULES = 1e6


class RaplSource:
    """One power record a poll, source ``rapl-sysfs``, with every energy counter that can be read.

    Zones are told by their ``name``, never by their index: ``package-0``, ``package-0/dram``,
    ``psys``. The counters of ``intel-rapl-mmio`` are the same energy read another way; they are
    left out where the zone is there already. Joules, wrapping at ``max_energy_range_uj``. Zones
    of one component are not added up here.

    Raises ``SourceUnavailableError`` from ``poll`` when nothing can be read, with what allows it
    where the reason is permission (root only since CVE-2020-8694).
    """

    def __init__(
        self,
        node: str,
        sysfs: Path = Path("/sys"),
        *,
        interval_seconds: float | None = 3.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node = node
        self._sysfs = sysfs
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._told: set[Path] = set()
        self.set_aside = 0
        """Counters that could not be read or believed while others could."""

    @property
    def name(self) -> str:
        """What this source reads."""
        return f"rapl {self._sysfs / 'class/powercap'}"

    @property
    def interval_seconds(self) -> float | None:
        """How often to ask."""
        return self._interval_seconds

    def poll(self) -> list[Record] | None:
        """Read all counters once."""
        at = round(self._clock() * 1000)
        zones: dict[tuple[str, str], Zone] = {}
        denied: PermissionError | None = None
        for folder, label, component in _walk(self._sysfs):
            try:
                zone = _read_zone(folder, label, component)
            except PermissionError as error:
                denied = denied or error
                self._put_aside(folder, error)
            except (OSError, ValueError) as error:
                self._put_aside(folder, error)
            else:
                self._told.discard(folder)
                zones.setdefault((component, label), zone)
        if zones:
            return [PowerRecord(VERSION, self._node, at, RAPL, zones=list(zones.values()))]
        if denied is not None:
            raise SourceUnavailableError(_how_to_allow(str(denied.filename)))
        raise SourceUnavailableError(f"no RAPL counter under {self._sysfs / 'class/powercap'}")

    def close(self) -> None:
        """Nothing is held between polls."""

    def _put_aside(self, folder: Path, error: Exception) -> None:
        self.set_aside += 1
        if folder not in self._told:
            self._told.add(folder)
            _log.info("%s is set aside: %s", folder, error)


def found(sysfs: Path = Path("/sys")) -> bool:
    """Whether this machine has RAPL zones, readable or not."""
    return any(True for _ in _walk(sysfs))


def denied(sysfs: Path = Path("/sys")) -> str | None:
    """What to tell the user if RAPL is here and permission is all that is missing, else None."""
    refused: PermissionError | None = None
    for folder, label, component in _walk(sysfs):
        try:
            _read_zone(folder, label, component)
        except PermissionError as error:
            refused = refused or error
        except (OSError, ValueError):
            continue
        else:
            return None
    return None if refused is None else _how_to_allow(str(refused.filename))


def _walk(sysfs: Path) -> Iterator[tuple[Path, str, str]]:
    """Folder, label and component of each zone; what MMIO shows a second time is left out."""
    try:
        folders = sorted((sysfs / "class/powercap").iterdir(), key=_by_index)
    except OSError:
        return
    names: dict[str, str] = {}
    controls: dict[str, str] = {}
    for folder in folders:
        match = _ZONE_FOLDER.fullmatch(folder.name)
        name = _name_of(folder) if match else ""
        if match is None or not name:
            continue
        control, _, below = match.groups()
        parent = names.get(folder.name.rpartition(":")[0]) if below else None
        label = f"{parent}/{name}" if parent else name
        names[folder.name] = label
        first = controls.setdefault(label, control)
        if first != control:
            continue
        if label in (names[other] for other in names if other != folder.name):
            label = f"{label}@{folder.name}"  # two dies that bear one name
        yield folder, label, "package" if name.startswith("package") else name


def _by_index(folder: Path) -> tuple[str, list[int]]:
    control, _, index = folder.name.partition(":")
    return control, [int(part) for part in index.split(":") if part.isdecimal()]


def _name_of(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _read_zone(folder: Path, label: str, component: str) -> Zone:
    microjoules = int((folder / "energy_uj").read_text(encoding="ascii"))
    try:
        wraps_at = int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
    except (OSError, ValueError):
        wraps_at = 0
    if microjoules < 0 or 0 < wraps_at < microjoules:
        raise ValueError(f"energy_uj is {microjoules}, outside 0 to {wraps_at}")
    return Zone(component, label, microjoules / _MICROJOULES, wraps_at / _MICROJOULES or None)


def _how_to_allow(file: str) -> str:
    return (
        f"no permission to read {file} (root only since CVE-2020-8694): run as root, or allow it"
        " at each boot by a udev or tmpfiles.d rule that does"
        " chmod o+r /sys/class/powercap/intel-rapl:*/energy_uj"
    )
