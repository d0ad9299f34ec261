"""The proposal's figures on pinning, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

from estimator.export.pinning import Pinning


def cpus(root: Path, online: str, isolated: str) -> None:
    folder = root / "devices/system/cpu"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "online").write_text(f"{online}\n")
    (folder / "isolated").write_text(f"{isolated}\n")


def guest(root: Path, pid: str, allowed: str) -> None:
    (root / pid).mkdir()
    (root / pid / "status").write_text(f"Name:\tqemu\nCpus_allowed_list:\t{allowed}\n")


def test_isolation_is_the_share_of_isolated_processors(tmp_path: Path) -> None:
    cpus(tmp_path, "0-7", "2-7")
    pinning = Pinning(tmp_path, tmp_path)
    pinning.update({}, None, [])
    assert (pinning.isolation, pinning.enabled) == (0.75, False)
    cpus(tmp_path, "0-3", "0-3")
    pinning.update({}, None, [])
    assert pinning.enabled


def test_on_a_host_all_guests_must_be_bound(tmp_path: Path) -> None:
    cpus(tmp_path, "0-7", "")
    guest(tmp_path, "10", "2-3")
    guest(tmp_path, "11", "0-7")
    pinning = Pinning(tmp_path, tmp_path)
    pinning.update({}, None, ["10"])
    assert pinning.enabled
    pinning.update({}, None, ["10", "11", "gone"])
    assert not pinning.enabled


def test_the_score_adds_up_what_is_noisy(tmp_path: Path) -> None:
    pinning = Pinning(tmp_path, tmp_path)
    for number in range(20):
        noisy = 100.0 + 90.0 * (number % 2)
        pinning.update({"bpf_cpu_time_ms": noisy, "context_switches": 100.0}, 0.05, [])
    assert pinning.score == 0.3
    for number in range(60):
        noisy = 100.0 + 90.0 * (number % 2)
        pinning.update({"bpf_cpu_time_ms": noisy, "context_switches": noisy}, 0.2, [])
    assert pinning.score == 1.0
