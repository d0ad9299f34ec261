"""Energy is neither made nor lost: whatever comes and goes, counters rise and sums agree."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.export.ledger import MOST_PENDING_SECONDS, Ledger, ZonePower
from estimator.export.ledger_file import LedgerFile, boot_id
from estimator.export.shares import ShareTracker
from estimator.export.workloads import Process, Workloads


def process(number: int) -> Process:
    container = f"c{number // 2}" if number % 3 else ""
    return Process(str(number), "work", "", "container" if container else "regular", container, "")


READINGS = st.lists(
    st.tuples(
        st.floats(0, 500),
        st.floats(0, 100),
        st.dictionaries(st.integers(0, 6), st.floats(0, 1e6), max_size=6),
    ),
    max_size=12,
)


@given(READINGS)
def test_sums_agree_and_nothing_falls(
    readings: list[tuple[float, float, dict[int, float]]],
) -> None:
    ledger, tracker, drawn, shared = Ledger(), ShareTracker(), 0.0, 0.0
    for active, idle, seconds in readings:
        workloads = Workloads()
        for number, each in seconds.items():
            workloads.add(process(number), each)
        shares = tracker.update(workloads.seconds)
        before = {one: account.joules["package"] for one, account in ledger.processes.items()}
        ledger.draw({"package": ZonePower(active, idle)}, 5.0)
        drawn += (active + idle) * 5.0
        if shares is None:
            continue
        assert not shares.parts or math.isclose(sum(shares.parts.values()), 1.0)
        ledger.share(shares.parts, workloads)
        now = {one: account.joules["package"] for one, account in ledger.processes.items()}
        assert all(now[one] >= joules for one, joules in before.items() if one in now)
        shared += sum(now.values()) - sum(v for one, v in before.items() if one in now)
        watts = sum(account.watts["package"] for account in ledger.processes.values())
        assert math.isclose(watts, active if shares.parts else 0.0, abs_tol=1e-9)
    node = ledger.node.get("package", ZonePower(0.0, 0.0))
    assert math.isclose(sum(node), drawn, abs_tol=1e-6)
    assert shared <= node.active * (1 + 1e-9) + 1e-6


def test_a_process_counts_from_the_second_time_on() -> None:
    tracker = ShareTracker()
    assert tracker.update({process(1): 1000.0}) is None
    shares = tracker.update({process(1): 1001.0, process(2): 5000.0})
    assert shares is not None
    assert (shares.parts, shares.seconds) == ({process(1): 1.0}, 1.0)
    # One that has fallen is another, and one that is gone has no part.
    later = tracker.update({process(1): 3.0, process(2): 5002.0})
    assert later is not None
    assert later.parts == {process(2): 1.0}


def test_energy_that_was_not_shared_for_long_is_nobody_s() -> None:
    ledger, workloads = Ledger(), Workloads()
    workloads.add(process(1), 1.0)
    for _ in range(3):
        ledger.draw({"package": ZonePower(10.0, 1.0)}, MOST_PENDING_SECONDS / 2)
    ledger.share({process(1): 1.0}, workloads)
    assert ledger.processes[process(1)].joules == {"package": 0.0}
    assert ledger.node["package"].active == 10.0 * 1.5 * MOST_PENDING_SECONDS


def filled() -> Ledger:
    ledger, workloads = Ledger(), Workloads()
    workloads.add(process(1), 1.0)
    ledger.zones, ledger.model = {"package"}, "m"
    ledger.draw({"package": ZonePower(10.0, 1.0)}, 5.0)
    ledger.share({process(1): 1.0}, workloads)
    return ledger


def test_processes_last_until_the_next_boot(tmp_path: Path) -> None:
    path = tmp_path / "made" / "joules.json"
    LedgerFile(path, "one").save(filled())
    same, other = LedgerFile(path, "one").load(), LedgerFile(path, "two").load()
    assert same.processes[process(1)].joules == {"package": 50.0}
    assert other.processes == {}
    for ledger in (same, other):
        assert ledger.node == {"package": ZonePower(50.0, 5.0)}
        assert ledger.groups["container"]["c0"].joules == {"package": 50.0}
        assert (ledger.zones, ledger.model) == ({"package"}, "m")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"version":1', b'"version":2', "version is 2: 1 is needed"),
        (b'"1","work"', b'"work"', "a process has not 6 labels"),
        (b'"node":{', b'"node":[', "Expected `object`, got `array`"),
    ],
)
def test_a_file_of_another_kind_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, old: bytes, new: bytes, reason: str
) -> None:
    path = tmp_path / "joules.json"
    LedgerFile(path).save(filled())
    path.write_bytes(path.read_bytes().replace(old, new))
    assert LedgerFile(path).load().node == {}
    assert str(path) in caplog.text
    assert reason in caplog.text


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in-the-way").write_text("")
    file = LedgerFile(tmp_path / "in-the-way" / "joules.json")
    file.save(filled())
    file.save(filled())
    assert caplog.text.count("will not survive") == 1


def test_boots_are_told_apart(tmp_path: Path) -> None:
    assert boot_id(tmp_path) == ""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("b\n")
    assert boot_id(tmp_path) == "b"
