"""The whole machine's power as an ACPI power meter measures it, read through hwmon."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from estimator.errors import SourceUnavailableError
from estimator.vocabulary import ACPI
from stream.records import VERSION, PowerRecord
from stream.sources.protocol import Record

_CHIP = "power_meter"
_AVERAGE = re.compile(r"power\d+_average")
_MICROWATTS = 1e6


class HwmonSource:
    """One power record a poll, source ``acpi``: the sum in watts of all ACPI power meters.

    Chips are told by their ``name`` (``power_meter``), since hwmon's numbers change from boot to
    boot; power files of other chips (graphics, batteries, regulators) are not the platform's.
    The value is the meter's own average over some recent window, so it lags the load.

    Raises ``SourceUnavailableError`` from ``poll`` when a meter cannot be read: a sum without it
    would be wrong.
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

    @property
    def name(self) -> str:
        """What this source reads."""
        return f"hwmon {self._sysfs / 'class/hwmon'}"

    @property
    def interval_seconds(self) -> float | None:
        """How often to ask."""
        return self._interval_seconds

    def poll(self) -> list[Record] | None:
        """Read all meters once."""
        at = round(self._clock() * 1000)
        files = list(_meters(self._sysfs))
        if not files:
            raise SourceUnavailableError(f"no ACPI power meter under {self._sysfs / 'class/hwmon'}")
        watts = sum(_read_watts(file) for file in files)
        return [PowerRecord(VERSION, self._node, at, ACPI, watts={"platform": watts})]

    def close(self) -> None:
        """Nothing is held between polls."""


def found(sysfs: Path = Path("/sys")) -> bool:
    """Whether this machine has an ACPI power meter."""
    return any(True for _ in _meters(sysfs))


def _meters(sysfs: Path) -> Iterator[Path]:
    """The ``powerN_average`` files of every ACPI meter; some kernels have them under ``device``."""
    for chip in _folder(sysfs / "class/hwmon"):
        for folder in (chip, chip / "device"):
            if _name_of(chip) != _CHIP and _name_of(folder) != _CHIP:
                continue
            files = [file for file in _folder(folder) if _AVERAGE.fullmatch(file.name)]
            yield from files
            if files:
                break


def _folder(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def _name_of(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _read_watts(file: Path) -> float:
    try:
        microwatts = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise SourceUnavailableError(f"{file} cannot be read: {error}") from error
    if microwatts < 0:
        raise SourceUnavailableError(f"{file} says {microwatts} microwatts")
    return microwatts / _MICROWATTS
