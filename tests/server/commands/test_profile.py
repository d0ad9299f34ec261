"""``wattstream profile``, and what learners make of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from estimator.isolation.profile import StoredProfiles
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from tests.server.commands.inside import Run
from tests.server.commands.traces import write_trace


def write_idle(path: Path, package: str) -> Path:
    rows = [
        f"{1_600_000_000 + 3 * row},5,{watts},7" for row, watts in enumerate(package.split() * 10)
    ]
    header = "timestamp,bpf_cpu_time_ms,package_power,dram_power"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_trace_is_recorded_and_learners_subtract_it(wattstream: Run, tmp_path: Path) -> None:
    write_idle(tmp_path / "idle.csv", "30 31 32")
    found = wattstream("profile", "--trace", "idle.csv", "--duration", "60")
    assert found.status == 0
    heading, *rows = (line.split("\t") for line in found.out.splitlines())
    assert heading[-3:] == ["min W", "max W", "background W"]
    assert [row[1:] for row in rows] == [
        ["rapl-sysfs", "package", "20", "30.00", "32.00", "31.00"],
        ["rapl-sysfs", "dram", "20", "7.00", "7.00", "7.00"],
    ]
    assert "not idle" not in found.err
    write_trace(tmp_path / "trace.csv")
    assert wattstream("collect", "--source", "trace.csv").status == 0
    learned = wattstream("learn", "--once", "--isolator", "profile")
    assert learned.status == 0
    # What was not there when the profile was recorded.
    said = [line.split("WARNING ")[1] for line in learned.err.splitlines() if "WARN" in line]
    assert sorted(said) == [
        f"the idle profile of node type unknown has no {component}; "
        f"its idle level is used until one is recorded"
        for component in ("platform of acpi", "uncore of rapl-sysfs")
    ]
    models = {one["slug"]: one for one in json.loads(wattstream("models", "--json").out)}
    assert {one["key"]["output_type"] for one in models.values()} == {"AbsPower", "DynPower"}


def test_the_log_is_recorded_from_a_time_on(wattstream: Run, tmp_path: Path) -> None:
    write_idle(tmp_path / "idle.csv", "30 90")
    assert wattstream("collect", "--source", "idle.csv", "--partitions", "2").status == 0
    found = wattstream("profile", "--from", "1600000000", "--duration", "30", "--json")
    assert found.status == 1  # It was appended just now, and recorded years ago.
    assert "the log took no record from 2020-09-13T12:26:40Z" in found.complaint


def test_a_learner_subtracts_what_was_recorded(wattstream: Run, tmp_path: Path) -> None:
    write_idle(tmp_path / "idle.csv", "30 90")
    found = wattstream("profile", "--trace", "idle.csv", "--duration", "50", "--json")
    assert found.status == 0
    assert "unknown was not idle: package of rapl-sysfs from 30.0 to 90.0 W" in found.err
    (profile,) = json.loads(found.out)
    assert profile["node_type"] == "unknown"
    package = profile["sources"]["rapl-sysfs"]["package"]
    assert (package["min"], package["max"]) == pytest.approx((30.0, 90.0))
    store = open_store(f"file:{tmp_path / 'wattstream-data/store'}")
    kept = StoredProfiles(store).get("unknown")
    assert kept is not None
    assert kept.level("rapl-sysfs", ("package",)).tolist() == pytest.approx([60.0])
    write_trace(tmp_path / "trace.csv")
    assert wattstream("collect", "--source", "trace.csv").status == 0
    assert wattstream("learn", "--once", "--isolator", "profile").status == 0
    models = ModelStore(store)
    by_output = {
        index.key.output_type: models.artifact(index.current).model
        for index in models.indexes().values()
        if index.key.source == "rapl-sysfs" and index.key.feature_group == "CPUTime"
    }
    # Package comes first in arrays.
    whole, above = by_output["AbsPower"], by_output["DynPower"]
    assert whole.ceiling[0] - above.ceiling[0] == pytest.approx(60.0)


def test_the_log_is_recorded_for_a_time(wattstream: Run, tmp_path: Path) -> None:
    begin = int(time.time()) - 200
    rows = [f"{begin + 3 * row},5,{90 if row > 20 else 30 + row % 2}" for row in range(40)]
    path = tmp_path / "now.csv"
    path.write_text("\n".join(["timestamp,bpf_cpu_time_ms,package_power", *rows]) + "\n")
    assert wattstream("collect", "--source", "now.csv").status == 0
    words = ("profile", "--from", str(begin - 10), "--duration", "60", "--json")
    (profile,) = json.loads(wattstream(*words).out)
    one = profile["sources"]["rapl-sysfs"]["package"]
    assert (one["min"], one["max"]) == pytest.approx((30.0, 31.0))
    assert 10 < one["samples"] <= 20


def test_an_interrupted_recording_keeps_nothing(wattstream: Run, tmp_path: Path) -> None:
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    found = wattstream("profile", "--duration", "600")
    interrupt.join()
    assert (found.status, found.out) == (130, "")
    assert "leave the machines idle" in found.err
    assert open_store(f"file:{tmp_path / 'wattstream-data/store'}").list("") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--isolator", "mni"), "isolator is 'mni': known are idle, min, none, profile, trainer"),
        (("--bg-hints", "a"), "isolator_args has 'bg_hints': isolator 'idle' heeds none"),
    ],
)
def test_wrong_isolators_are_misuse(wattstream: Run, words: tuple[str, ...], said: str) -> None:
    found = wattstream("learn", "--once", *words)
    assert found.status == 2
    assert said in found.err
    replayed = wattstream("replay", "--from", "-1h", "--to", "now", *words)
    assert replayed.status == 2
    assert said in replayed.complaint


def test_duration_must_be_some_time(wattstream: Run) -> None:
    found = wattstream("profile", "--duration", "0")
    assert found.status == 2
    assert "duration" in found.complaint
