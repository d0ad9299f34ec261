"""Which energy sources this machine can measure itself, as the kernel shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from estimator.vocabulary import ACPI, RAPL

KNOWN_TO_THE_KERNEL: Final = frozenset({RAPL, ACPI})
"""Other meters, such as a board's over the network, leave no trace here."""


def missing_meters(sysfs: Path = Path("/sys")) -> frozenset[str]:
    """The energy sources of which the kernel shows no meter, though it would if there were one.

    A virtual machine has none. A meter that may not be read counts as one.
    """
    found = set()
    if any(zone.name.startswith("intel-rapl") for zone in _folder(sysfs / "class/powercap")):
        found.add(RAPL)
    for chip in _folder(sysfs / "class/hwmon"):
        if "power_meter" in (_text(chip / "name"), _text(chip / "device/name")):
            found.add(ACPI)
    return KNOWN_TO_THE_KERNEL - found


def _folder(path: Path) -> Iterator[Path]:
    try:
        yield from path.iterdir()
    except OSError:
        return


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
