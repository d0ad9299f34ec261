"""A virtual machine knows that it is one, and its id."""

from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import SourceUnavailableError
from estimator.system.guest import is_guest, vm_id

CPU = "processor\t: 0\nmodel name\t: made-up\nflags\t\t: fpu {} sse\n\n"


def machine(root: Path, flag: str = "vme", **dmi: str) -> tuple[Path, Path]:
    proc, sysfs = root / "proc", root / "sys"
    proc.mkdir()
    (proc / "cpuinfo").write_text(CPU.format(flag))
    (sysfs / "class/dmi/id").mkdir(parents=True)
    for name, text in dmi.items():
        (sysfs / "class/dmi/id" / name).write_text(f"{text}\n")
    return proc, sysfs


def test_the_processor_says_that_it_is_virtual(tmp_path: Path) -> None:
    assert is_guest(*machine(tmp_path, "hypervisor"))


@pytest.mark.parametrize(
    ("vendor", "product", "virtual"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", True),
        ("Microsoft Corporation", "Virtual Machine", True),
        ("VMware, Inc.", "VMware7,1", True),
        ("Dell Inc.", "PowerEdge R640", False),
        ("Microsoft Corporation", "Surface Laptop", False),
    ],
)
def test_where_it_does_not_the_firmware_does(
    tmp_path: Path, vendor: str, product: str, virtual: bool
) -> None:
    assert is_guest(*machine(tmp_path, sys_vendor=vendor, product_name=product)) == virtual


def test_a_machine_that_says_nothing_is_no_guest(tmp_path: Path) -> None:
    assert not is_guest(tmp_path, tmp_path)


def test_the_id_is_the_firmware_s_in_lower_case(tmp_path: Path) -> None:
    _, sysfs = machine(tmp_path, product_uuid="4C4C4544-0042-3510-8053-B2C04F4D3533")
    assert vm_id(sysfs) == "4c4c4544-0042-3510-8053-b2c04f4d3533"


@pytest.mark.parametrize(
    ("dmi", "reason"), [({}, "cannot be read"), ({"product_uuid": " "}, "is empty")]
)
def test_without_an_id_it_is_said_what_helps(
    tmp_path: Path, dmi: dict[str, str], reason: str
) -> None:
    _, sysfs = machine(tmp_path, **dmi)
    with pytest.raises(SourceUnavailableError, match=rf"product_uuid {reason}.*: --node must say"):
        vm_id(sysfs)


def test_an_id_for_root_alone_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(SourceUnavailableError, match="by root alone: without, --node"):
        vm_id(tmp_path)
