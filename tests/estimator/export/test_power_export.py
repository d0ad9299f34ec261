"""The export as a scrape sees it: a made-up host with three guests, a clock moved by hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from estimator.export.families import ALL, MODEL, POWER
from estimator.export.power_export import Policy
from tests.estimator.export.host import (
    FAKE_PATH,
    GUESTS,
    REAL_PATH,
    Answering,
    Host,
    Rig,
    answering,
    scored_entry,
    total,
    values,
)
from tests.estimator.served import MACHINE, plain_entry

PAGES = Path(__file__).parents[2] / "stream/sources/pages"
LEVELS = ("process", "container", "pod", "vm")


@pytest.fixture
def kepler() -> Iterator[Answering]:
    with answering() as said:
        yield said


def run(rig: Rig, kepler: Answering, host: Host, intervals: int = 3) -> str:
    """Each interval 2.56 processors work: 10 W + 40 W of the package."""
    text = ""
    for _ in range(intervals):
        host.work(5.0, p101=1.0, p102=0.5, p103=0.25, p201=0.4, p202=0.31, p301=0.1)
        kepler.text = host.page()
        text = rig.tick()
    return text


def test_node_container_pod_and_vm_series_appear(tmp_path: Path, kepler: Answering) -> None:
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, Host())
    assert values(text, "kepler_node_cpu_watts", zone="package") == pytest.approx([50.0])
    assert values(text, "kepler_node_cpu_active_watts", zone="package") == pytest.approx([40.0])
    assert values(text, "kepler_node_cpu_idle_watts", zone="package") == pytest.approx([10.0])
    for guest, watts in zip(GUESTS, (15.625, 7.8125, 3.90625), strict=True):
        found = values(text, "kepler_vm_cpu_watts", vm_id=guest, zone="package")
        assert found == pytest.approx([watts])
    (pod,) = values(text, "kepler_pod_cpu_watts", pod_id="pod-1", zone="package")
    assert pod == pytest.approx(total(text, "kepler_container_cpu_watts", zone="package"))
    named = {"container_name": "name-201", "runtime": "containerd", "state": "running"}
    assert values(text, "kepler_container_cpu_watts", zone="package", **named)


def test_shares_add_up_to_what_the_node_draws_above_idle(tmp_path: Path, kepler: Answering) -> None:
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, Host(), 9)
    for zone in ("package", "core", "uncore", "dram"):
        for unit in ("watts", "joules_total"):
            whole = total(text, f"kepler_node_cpu_active_{unit}", zone=zone)
            shared = total(text, f"kepler_process_cpu_{unit}", zone=zone)
            assert whole > 0
            assert shared == pytest.approx(whole, rel=1e-3)
            idle = total(text, f"kepler_node_cpu_idle_{unit}", zone=zone)
            assert total(text, f"kepler_node_cpu_{unit}", zone=zone) == pytest.approx(whole + idle)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("paths", [{}, {"package": FAKE_PATH}, {"package": REAL_PATH}])
def test_promtool_has_nothing_to_say(
    tmp_path: Path, kepler: Answering, paths: dict[str, str]
) -> None:
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, Host(paths=paths))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_names_of_the_proposal_are_there(tmp_path: Path, kepler: Answering) -> None:
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, Host())
    for name in MODEL:
        assert values(text, name) or f"\n{name}" in text, name
    assert values(text, "kepler_vm_model_confidence_score", zone="package") == [0.95]
    assert values(text, "kepler_vm_model_accuracy_mae", zone="package") == [1.5]
    (watts,) = values(text, "kepler_node_cpu_watts", zone="package", node_name="n1")
    assert f'vm_model="{scored_entry().manifest.key.slug}",zone="package"}} {watts}\n' in text


def test_every_family_has_one_place_and_a_help(tmp_path: Path, kepler: Answering) -> None:
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, Host(paths={"dram": REAL_PATH}))
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


@pytest.mark.parametrize("page", ["kepler_0_11.txt", "kepler_recorded_2.txt", ""])
def test_kepler_s_own_series_go_on_unchanged(tmp_path: Path, kepler: Answering, page: str) -> None:
    kepler.text = (PAGES / page).read_text() if page else Host(paths={"package": REAL_PATH}).page()
    rig = Rig(tmp_path, kepler.url, scored_entry())
    for _ in range(3):
        text = rig.tick()
    assert set(kepler.text.splitlines()) <= set(text.splitlines())


def test_a_zone_that_kepler_measures_is_not_estimated(tmp_path: Path, kepler: Answering) -> None:
    host = Host(paths={"package": REAL_PATH})
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, host)
    assert values(text, "kepler_node_cpu_watts", zone="package") == [40.0]
    assert values(text, "kepler_node_cpu_watts", zone="dram", path="model")
    assert not values(text, "kepler_process_cpu_watts", zone="package")
    whole = total(text, "kepler_node_cpu_active_watts", zone="dram")
    assert total(text, "kepler_process_cpu_watts", zone="dram") == pytest.approx(whole)


def test_a_real_kepler_with_its_fake_meter(tmp_path: Path, kepler: Answering) -> None:
    """Recorded pages, but for the meter's path: a VM runs, ends and is forgotten."""
    first, second = (
        (PAGES / f"kepler_recorded_{n}.txt")
        .read_text()
        .replace("aggregated-", "/sys/class/powercap/intel-rapl/energy_")
        for n in (1, 2)
    )
    ended = [one for one in second.splitlines() if not re.search("27547|build-1", one)]
    rig = Rig(tmp_path, kepler.url, scored_entry())
    texts = []
    for page in (first, second, "\n".join([*ended, ""])):
        kepler.text = page
        texts.append(rig.tick(0.913))
    text = texts[1]
    for unit in ("watts", "joules_total"):
        whole = total(text, f"kepler_node_cpu_active_{unit}", zone="package")
        assert whole > 0
        shared = total(text, f"kepler_process_cpu_{unit}", zone="package")
        assert shared == pytest.approx(whole, rel=1e-3)
        pod = total(text, f"kepler_pod_cpu_{unit}", zone="package", pod_name="web-7f9c")
        of_pod = {"zone": "package", "container_name": "web", "runtime": "containerd"}
        assert pod > 0
        assert pod == pytest.approx(total(text, f"kepler_container_cpu_{unit}", **of_pod))
        (vm,) = values(text, f"kepler_vm_cpu_{unit}", zone="package", vm_name="web-1")
        assert vm == pytest.approx(
            total(text, f"kepler_process_cpu_{unit}", zone="package", pid="30701")
        )
    assert values(text, "kepler_vm_cpu_watts", zone="package", vm_name="build-1")
    assert not values(texts[2], "kepler_vm_cpu_watts", zone="package", vm_name="build-1")
    assert "energy_package" not in text


def test_what_the_fake_meter_says_is_replaced(tmp_path: Path, kepler: Answering) -> None:
    host = Host(paths={"package": FAKE_PATH})
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, host)
    assert values(text, "kepler_node_cpu_watts", zone="package") == pytest.approx([50.0])
    assert FAKE_PATH not in text
    # What pods and VMs are called, Kepler says in those series alone.
    assert values(text, "kepler_vm_cpu_watts", vm_name="guest-a-name", zone="package")
    assert values(text, "kepler_pod_cpu_watts", pod_namespace="shop", zone="package")


def test_joules_rise_and_survive_restarts(tmp_path: Path, kepler: Answering) -> None:
    host, last = (
        Host(),
        dict.fromkeys([f"kepler_{level}_cpu_joules_total" for level in LEVELS], 0.0),
    )
    for _ in range(3):
        rig = Rig(tmp_path, kepler.url, scored_entry())
        for _ in range(3):
            text = run(rig, kepler, host, 1)
            for name in last:
                now = total(text, name, zone="package")
                assert now >= last[name]
                last[name] = now
    # The first interval of each run is not known.
    assert total(text, "kepler_node_cpu_joules_total", zone="package") == pytest.approx(6 * 250.0)
    assert last["kepler_process_cpu_joules_total"] == pytest.approx(6 * 200.0)


def test_a_damaged_file_costs_the_counts_and_is_named(
    tmp_path: Path, kepler: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "joules.json").write_text('{"version": 1')
    text = run(Rig(tmp_path, kepler.url, scored_entry()), kepler, Host())
    assert values(text, "kepler_node_cpu_joules_total", zone="package") == pytest.approx([500.0])
    assert "joules.json" in caplog.text


def test_weak_estimates_are_marked_or_withheld(tmp_path: Path, kepler: Answering) -> None:
    marked = run(Rig(tmp_path / "a", kepler.url, scored_entry(mape=40.0)), kepler, Host())
    assert values(marked, "kepler_vm_model_confidence_score", zone="package") == [0.6]
    assert values(marked, "wattstream_export_low_confidence", zone="package") == [1]
    assert values(marked, "kepler_node_cpu_watts", zone="package")
    strict = Rig(
        tmp_path / "b",
        kepler.url,
        scored_entry(mape=40.0),
        policy=Policy("", "host", withhold=True),
    )
    withheld = run(strict, kepler, Host())
    assert values(withheld, "wattstream_export_low_confidence", zone="package") == [1]
    assert [name for name in POWER if values(withheld, name)] == []


def test_without_a_model_the_page_goes_on(
    tmp_path: Path, kepler: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, kepler.url)
    text = run(rig, kepler, Host())
    assert values(text, "wattstream_export_without_model_total") == [2]
    assert not values(text, "kepler_node_cpu_watts")
    assert caplog.text.count("power is not estimated") == 1
    rig.shelf.entries = (scored_entry(),)
    assert values(run(rig, kepler, Host()), "kepler_node_cpu_watts", zone="package")


def test_kepler_that_is_away_for_a_while_costs_nothing(
    tmp_path: Path, kepler: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    rig, host = Rig(tmp_path, kepler.url, scored_entry(), proc=proc(tmp_path)), Host()
    run(rig, kepler, host)
    kepler.status = 503
    for _ in range(2):
        busy(rig.proc, 5.0)
        host.work(5.0, p101=1.0)
        away = rig.tick()
    assert values(away, "wattstream_export_kepler_up") == [0]
    assert values(away, "kepler_node_cpu_watts", zone="package")
    assert not values(away, "kepler_process_cpu_watts")
    kepler.status = 200
    text = run(rig, kepler, host)
    assert values(text, "wattstream_export_kepler_up") == [1]
    whole = total(text, "kepler_node_cpu_active_joules_total", zone="package")
    assert total(text, "kepler_process_cpu_joules_total", zone="package") == pytest.approx(whole)
    assert caplog.text.count("answers 503") == 1


def test_a_kepler_that_starts_later_is_found(tmp_path: Path, kepler: Answering) -> None:
    """One that was not named: until then `/proc` says what runs, and nothing is missed."""
    rig = Rig(tmp_path, kepler.url, scored_entry(), proc=proc(tmp_path), certain=False)
    kepler.status, host = 503, Host()
    for _ in range(3):
        busy(rig.proc, 5.0)
        text = rig.tick()
    assert values(text, "kepler_process_cpu_watts", pid="7", zone="package")
    assert values(text, "wattstream_export_kepler_up") == [0]
    kepler.status = 200
    text = run(rig, kepler, host, 2)  # not asked yet
    assert values(text, "kepler_process_cpu_seconds_total", pid="7")
    before = total(text, "kepler_node_cpu_joules_total", zone="package")
    rig.clock.now += 60.0
    text = run(rig, kepler, host, 3)
    assert values(text, "wattstream_export_kepler_up") == [1]
    assert not values(text, "kepler_process_cpu_watts", pid="7")
    assert values(text, "kepler_vm_cpu_watts", vm_id="guest-a", zone="package")
    assert total(text, "kepler_node_cpu_joules_total", zone="package") > before


def test_a_fault_costs_one_page_and_is_logged(
    tmp_path: Path,
    kepler: Answering,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kepler.text = Host().page()
    export = Rig(tmp_path, kepler.url, scored_entry(), interval=0.01).export
    monkeypatch.setattr(export, "_clock", time.monotonic)
    export.start()
    failed, ticked = threading.Event(), threading.Event()

    def fails() -> None:
        if failed.is_set():
            ticked.set()
        failed.set()
        raise RuntimeError("made up")

    before = export.page()
    monkeypatch.setattr(export, "tick", fails)
    assert ticked.wait(30.0)
    export.stop()
    assert "kepler_process_cpu_seconds_total" in export.page()
    assert export.page().splitlines()[:3] == before.splitlines()[:3]
    assert "made up" in caplog.text


def test_an_exporter_that_changes_its_version(
    tmp_path: Path, kepler: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    rig, host = Rig(tmp_path, kepler.url, scored_entry(), proc=proc(tmp_path)), Host()
    before = run(rig, kepler, host)
    legacy = (PAGES / "kepler_0_9_0.txt").read_text()
    kepler.text = legacy
    for _ in range(2):
        busy(rig.proc, 5.0)
        text = rig.tick()
    assert set(legacy.splitlines()) <= set(text.splitlines())
    assert values(text, "kepler_node_cpu_watts", zone="package")
    assert not values(text, "kepler_process_cpu_watts")
    assert caplog.text.count("power is not shared") == 1
    after = run(rig, kepler, host)
    for name in ("kepler_process_cpu_joules_total", "kepler_node_cpu_joules_total"):
        assert total(after, name, zone="package") > total(before, name, zone="package")


def test_series_without_labels_are_counted_and_left_out(tmp_path: Path, kepler: Answering) -> None:
    rig, host = Rig(tmp_path, kepler.url, scored_entry()), Host()
    run(rig, kepler, host, 2)
    host.work(5.0, p101=2.56)
    line = "kepler_process_cpu_seconds_total"
    kepler.text = host.page() + f"{line} 12\n{line}{{}} 13\n"
    text = rig.tick()
    assert values(text, "wattstream_export_unlabelled_series_total") == [2]
    assert values(text, "kepler_node_cpu_watts", zone="package") == pytest.approx([50.0])


def test_a_vm_that_two_processes_claim_has_the_power_of_both(
    tmp_path: Path, kepler: Answering
) -> None:
    rig, host = Rig(tmp_path, kepler.url, scored_entry()), Host()
    run(rig, kepler, host, 1)
    for _ in range(2):
        host.work(5.0, p101=1.0, p102=1.56)
        kepler.text = host.page().replace("guest-b", "guest-a")
        text = rig.tick()
    assert values(text, "kepler_vm_cpu_watts", vm_id="guest-a", zone="package") == pytest.approx(
        [40.0]
    )


def test_a_guest_that_moves_is_noticed(
    tmp_path: Path, kepler: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, kepler.url, scored_entry(), proc=proc(tmp_path))
    run(rig, kepler, Host())
    rig.clock.now += 60.0
    text = run(rig, kepler, Host())
    assert values(text, "wattstream_export_machine_changes_total") == [1]
    assert rig.estimator.machine.processor == "intel_xeon_gold_6130"
    assert rig.shelf.queries[-1].machine == rig.estimator.machine
    assert "intel_xeon_gold_6130" in caplog.text


def test_idle_power_is_that_of_the_guest_s_processors(tmp_path: Path, kepler: Answering) -> None:
    rig = Rig(tmp_path, kepler.url, scored_entry())
    rig.estimator.machine = msgspec.structs.replace(MACHINE, cores=4)
    text = run(rig, kepler, Host())
    assert values(text, "kepler_node_cpu_idle_watts", zone="package") == pytest.approx([2.5])
    assert values(text, "kepler_node_cpu_active_watts", zone="package") == pytest.approx([40.0])


def test_dynpower_s_own_model_says_what_is_above_idle(tmp_path: Path, kepler: Answering) -> None:
    above = plain_entry(output_type="DynPower", idle_watts=5.0)
    text = run(Rig(tmp_path / "above", kepler.url, scored_entry(), above), kepler, Host())
    assert values(text, "kepler_node_cpu_active_watts", zone="package") == pytest.approx([45.0])
    assert values(text, "kepler_node_cpu_watts", zone="package") == pytest.approx([50.0])


def test_without_kepler_proc_says_it_all(tmp_path: Path) -> None:
    rig = Rig(tmp_path, None, scored_entry(), proc=proc(tmp_path))
    rig.tick()
    for _ in range(2):
        busy(rig.proc, 2.56 * 5)
        text = rig.tick()
    assert values(text, "kepler_node_cpu_watts", zone="package") == pytest.approx([50.0])
    whole = total(text, "kepler_node_cpu_active_watts", zone="package")
    assert total(text, "kepler_process_cpu_watts", zone="package") == pytest.approx(whole)
    assert values(text, "kepler_process_cpu_seconds_total", pid="7", comm="work")
    assert values(text, "kepler_node_cpu_info") == [1, 1]
    assert values(text, "kepler_node_cpu_usage_ratio", node_name="host")
    assert set(ALL) >= {line.split()[2] for line in text.splitlines() if line[:6] == "# TYPE"}


def proc(folder: Path) -> Path:
    """A ``/proc`` with one process."""
    made = folder / "proc"
    (made / "7").mkdir(parents=True)
    (made / "cpuinfo").write_text(
        "processor: 0\nmodel name: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz\n\nprocessor: 1\n"
    )
    (made / "7/cgroup").write_text("0::/\n")
    busy(made, 0.0)
    return made


def busy(made: Path, seconds: float) -> None:
    """Have that process work for so long, in ticks of 10 ms."""
    clock = made / "clock"
    before = float(clock.read_text()) if clock.exists() else 10.0
    clock.write_text(str(before + seconds))
    ticks = round((before + seconds) * 100)
    (made / "stat").write_text(f"cpu  {ticks} 0 0 500 0 0 0 0 0 0\nctxt 5\nprocs_running 1\n")
    numbers = " ".join(["S", *["0"] * 10, str(ticks), "0", *["0"] * 6, "77", "0"])
    (made / "7/stat").write_text(f"7 (work) {numbers}\n")
