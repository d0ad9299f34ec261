"""Processes, containers, pods and VMs as a kernel's ``/proc`` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from estimator.errors import SourceUnavailableError
from estimator.export.proc_workloads import ProcWorkloads
from estimator.export.workloads import Process

ID = "0123456789abcdef" * 4
UUID = "aa11bb22-0000-4000-8000-cc33dd44ee55"
KUBERNETES = (
    "0::/kubepods.slice/kubepods-burstable.slice/"
    f"kubepods-burstable-pod{UUID.replace('-', '_')}.slice/cri-containerd-{ID}.scope\n"
)


def process(
    root: Path,
    pid: int,
    comm: str,
    cgroup: str = "0::/init.scope\n",
    cmdline: str = "",
    ticks: tuple[int, int] = (100, 50),
    began: int = 9,
) -> None:
    folder = root / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    middle = " ".join(["0"] * 10)
    rest = " ".join(["0"] * 6)
    (folder / "stat").write_text(
        f"{pid} ({comm}) S {middle} {ticks[0]} {ticks[1]} {rest} {began} 4096 8\n"
    )
    (folder / "cgroup").write_text(cgroup)
    (folder / "cmdline").write_text(cmdline)
    if not (folder / "exe").is_symlink():
        (folder / "exe").symlink_to(f"/bin/{comm.partition(' ')[0]}")


def reader(root: Path) -> ProcWorkloads:
    return ProcWorkloads(root, ticks_per_second=100)


def test_times_names_and_kinds(tmp_path: Path) -> None:
    process(tmp_path, 1, "a (b) c")
    process(tmp_path, 2, "web", KUBERNETES)
    process(tmp_path, 3, "db", f"0::/system.slice/docker-{ID[::-1]}.scope\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "77").mkdir()
    found = reader(tmp_path).read()
    assert found.seconds == {
        Process("1", "a (b) c", "/bin/a", "regular", "", ""): 1.5,
        Process("2", "web", "/bin/web", "container", ID, ""): 1.5,
        Process("3", "db", "/bin/db", "container", ID[::-1], ""): 1.5,
    }
    web, db = list(found.seconds)[1:]
    if web.pid != "2":
        web, db = db, web
    assert found.containers[ID] == (ID, "", "containerd", UUID)
    assert found.containers[ID[::-1]] == (ID[::-1], "", "docker", "")
    assert found.labels("pod", UUID) == {"pod_id": UUID, "pod_name": "", "pod_namespace": ""}
    assert list(found.groups(Process("2", "web", "", "container", ID, ""))) == [
        ("container", ID),
        ("pod", UUID),
    ]


@pytest.mark.parametrize(
    ("words", "identity"),
    [
        (["-name", "guest=build,debug-threads=on", "-uuid", UUID], UUID),
        (["-name", "build", "-m", "4096"], "build"),
        (["-m", "4096"], ""),
    ],
)
def test_a_guest_is_known_by_its_uuid_or_name(
    tmp_path: Path, words: list[str], identity: str
) -> None:
    process(tmp_path, 5, "qemu-system-x86", cmdline="\0".join(["qemu", *words]) + "\0")
    found = reader(tmp_path).read()
    (one,) = found.seconds
    assert (one.vm_id, one.type) == (identity, "vm" if identity else "regular")
    if identity:
        named = {"vm_id": identity, "vm_name": "build", "hypervisor": "kvm"}
        assert found.labels("vm", identity) == named


def test_a_process_that_changes_its_name_is_looked_at_again(tmp_path: Path) -> None:
    process(tmp_path, 5, "sh")
    again = reader(tmp_path)
    again.read()
    (tmp_path / "5/cgroup").write_text(KUBERNETES)
    assert next(iter(again.read().seconds)).container_id == ""
    process(tmp_path, 5, "web", KUBERNETES)
    assert next(iter(again.read().seconds)).container_id == ID


def test_no_proc_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="missing: No such file"):
        reader(tmp_path / "missing").read()
