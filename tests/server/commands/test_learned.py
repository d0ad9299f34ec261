"""``collect``, ``learn --once``, ``models`` and ``topics``, one after the other on one folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.commands.inside import Run
from tests.server.commands.traces import write_trace

GROUP = "BPFOnly"


def _json(wattstream: Run, *words: str) -> Any:
    found = wattstream(*words, "--json")
    assert (found.status, found.err) == (0, "")
    assert found.out.count("\n") == 1
    return json.loads(found.out)


def _newest(models: Any) -> dict[str, tuple[int, int]]:
    """How many samples the newest version of each model has learned, and until when."""
    return {
        one["slug"]: (one["versions"][-1]["samples"], one["versions"][-1]["at"]) for one in models
    }


def _table(out: str) -> list[dict[str, str]]:
    heading, *rows = (line.split("\t") for line in out.splitlines())
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_where_nothing_has_happened_there_is_nothing_to_list(wattstream: Run) -> None:
    assert _json(wattstream, "models") == []
    assert _json(wattstream, "topics") == []
    found = wattstream("models")
    assert (found.status, _table(found.out)) == (0, [])
    assert found.err.splitlines() == [
        "wattstream: there are no models in file:wattstream-data/store yet"
    ]
    found = wattstream("topics")
    assert (found.status, _table(found.out)) == (0, [])


def test_a_trace_becomes_records_and_records_become_models(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    found = wattstream("collect", "--source", "trace.csv", "--node", "n7")
    assert (found.status, found.out) == (0, "")
    before = _json(wattstream, "topics")
    assert [row["topic"] for row in before] == [
        "wattstream.dead",
        *["wattstream.power"] * 4,
        *["wattstream.usage"] * 4,
    ]
    assert all(row["committed"] is row["lag"] is None for row in before)
    ends = {row["topic"]: row["end"] for row in before if row["end"]}
    # A reading of both meters before the first row, and after each.
    assert ends == {"wattstream.usage": 60, "wattstream.power": 2 * 61}

    assert wattstream("learn", "--once").status == 0
    after = _json(wattstream, "topics")
    assert [{**row, "committed": None, "lag": None} for row in after] == before
    assert {row["lag"] for row in after if row["topic"] != "wattstream.dead"} == {0}
    assert _table(wattstream("topics").out) == [
        {name: "-" if value is None else str(value) for name, value in row.items()} for row in after
    ]

    models = _json(wattstream, "models")
    by_source = {
        one["key"]["source"]: one for one in models if one["key"]["feature_group"] == GROUP
    }
    assert set(by_source) == {"rapl-sysfs", "acpi"}
    (version,) = by_source["rapl-sysfs"]["versions"]
    assert version["samples"] == 60
    assert version["digest"] == by_source["rapl-sysfs"]["current"]
    shown = [row for row in _table(wattstream("models").out) if row["group"] == GROUP]
    assert {row["component"] for row in shown} >= {"package", "dram", "platform"}
    for row in shown:
        errors = by_source[row["source"]]["versions"][0]["errors"][row["component"]]
        assert row["next W"] == f"{errors['0']['mae']:.2f}"
        assert row["1200 s W"] == "-"
        assert row["samples"] == "60"
        assert row["learned until (UTC)"] == "2023-11-14 22:16:17"


def test_learning_again_goes_on_where_it_was(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    wattstream("collect", "--source", "trace.csv")
    wattstream("learn", "--once")
    learned = _json(wattstream, "models")
    assert wattstream("learn", "--once").status == 0
    assert _json(wattstream, "models") == learned
    # The same rows once more, late by now: nothing is counted twice.
    wattstream("collect", "--source", "trace.csv")
    assert wattstream("learn", "--once").status == 0
    assert _newest(_json(wattstream, "models")) == _newest(learned)
    assert {row["end"] for row in _json(wattstream, "topics") if row["lag"] == 0} >= {120, 244}


def test_partitions_of_a_log_do_not_change(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    wattstream("collect", "--source", "trace.csv", "--partitions", "2")
    found = wattstream("collect", "--source", "trace.csv", "--partitions", "3")
    assert found.status == 2
    assert "wattstream." in found.complaint


def test_all_may_be_kept_for_ever(wattstream: Run, tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    flags = ("--retention-hours", "inf", "--retention-mib", "inf")
    assert wattstream("collect", "--source", "trace.csv", *flags).status == 0
    assert {row["begin"] for row in _json(wattstream, "topics")} == {0}


def test_flags_win_over_the_environment_and_that_over_the_file(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store() -> str:
        return wattstream("models", *flags).err.strip().removeprefix("wattstream: ")

    flags: tuple[str, ...] = ()
    assert store() == "there are no models in file:wattstream-data/store yet"
    (tmp_path / "here.toml").write_text('data = "by-file"\n')
    flags = ("--config", "here.toml")
    assert store() == "there are no models in file:by-file/store yet"
    monkeypatch.setenv("WATTSTREAM_DATA", "by-environment")
    assert store() == "there are no models in file:by-environment/store yet"
    flags = (*flags, "--data", "by-flag")
    assert store() == "there are no models in file:by-flag/store yet"
    monkeypatch.setenv("WATTSTREAM_STORE", "memory:")
    assert store() == "there are no models in memory: yet"
    # Given, if empty: the default is wanted whatever the environment says.
    flags = (*flags, "--store", "")
    assert store() == "there are no models in file:by-flag/store yet"
