"""Whether this machine is a virtual one, which, and whose models are the best for it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from estimator.errors import SourceUnavailableError
from estimator.system.discovery import read_cpuinfo
from estimator.vocabulary import HYPERVISOR, RAPL

_UUID: Final = Path("class/dmi/id/product_uuid")
_PRODUCT: Final = (Path("class/dmi/id/sys_vendor"), Path("class/dmi/id/product_name"))
_VIRTUAL: Final = ("qemu", "kvm", "vmware", "virtualbox", "xen", "virtual machine", "bochs")


def is_guest(proc: Path = Path("/proc"), sysfs: Path = Path("/sys")) -> bool:
    """Whether this is a virtual machine, by what its processor and its firmware say."""
    flags = next((cpu.get("flags", "") for cpu in read_cpuinfo(proc)), "")
    if "hypervisor" in flags.split():
        return True
    product = " ".join(_text(sysfs / file) for file in _PRODUCT).lower()
    return any(name in product for name in _VIRTUAL)


def vm_id(sysfs: Path = Path("/sys")) -> str:
    """The id of this virtual machine, in lower case: what QEMU was given as ``-uuid``.

    Kepler calls the machine so on the host. ``SourceUnavailableError`` where the firmware does not
    say it, or only to root.
    """
    file = sysfs / _UUID
    hint = "--node must say what the host's Kepler calls this machine (vm_id)"
    try:
        found = file.read_text(encoding="ascii").strip().lower()
    except PermissionError as error:
        raise SourceUnavailableError(f"{file} is read by root alone: without, {hint}") from error
    except (OSError, ValueError) as error:
        raise SourceUnavailableError(f"{file} cannot be read ({error}): {hint}") from error
    if not found:
        raise SourceUnavailableError(f"{file} is empty: {hint}")
    return found


def sources_for(source: str, guest: bool) -> tuple[str, ...]:
    """Whose models answer for an energy source, the best first.

    For a guest models of guests come before those of whole machines, whose idle power they have.

    >>> sources_for("rapl-sysfs", True), sources_for("rapl-sysfs", False)
    (('hypervisor', 'rapl-sysfs'), ('rapl-sysfs',))
    """
    return (HYPERVISOR, RAPL) if guest and source == RAPL else (source,)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
