"""``topics`` with what could not be read: shown, repaired, sent back; on a file and on a broker."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from server.commands import topics
from stream.log.open import open_log
from stream.log.protocol import Outgoing
from stream.records import POWER_TOPIC, USAGE_TOPIC
from tests.kafka.broker import Broker
from tests.server.commands.inside import Run
from tests.server.commands.traces import write_trace

NEWER = b'{"v": 2, "node": "n1", "at": 1700000000000, "source": "acpi", "watts": {"platform": 7}}'


def _lines(wattstream: Run, *words: str) -> list[dict[str, Any]]:
    found = wattstream("topics", "dead", *words)
    assert (found.status, found.err) == (0, "")
    return [json.loads(line) for line in found.out.splitlines()]


def _redrive(wattstream: Run, *words: str) -> list[dict[str, Any]]:
    found = wattstream("topics", "redrive", "--json", *words)
    assert found.status == 0, found.err
    rows: list[dict[str, Any]] = json.loads(found.out)
    return rows


def _dead_by_topic(wattstream: Run, *words: str) -> dict[str, int]:
    rows = json.loads(wattstream("topics", "--json", *words).out)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["topic"]] = counts.get(row["topic"], 0) + row["dead"]
    return {topic: count for topic, count in counts.items() if count}


def _bury(wattstream: Run, url: str, *flags: str) -> None:
    """Have a learner meet three records that it cannot read."""
    write_trace(Path("trace.csv"))
    assert wattstream("collect", "--source", "trace.csv", "--node", "n7", *flags).status == 0
    with open_log(url) as log:
        log.append_many(POWER_TOPIC, [Outgoing("n1", NEWER), Outgoing("n2", b"\xff")])
        log.append_many(USAGE_TOPIC, [Outgoing("n1", b"{}", (("trace", b"1"),))])
    assert wattstream("learn", "--once", *flags).status == 0


def _repair_and_redrive(wattstream: Run, *flags: str) -> None:
    """The whole way, on any log: nothing can be read, one is repaired, it goes back once."""
    assert _dead_by_topic(wattstream, *flags) == {POWER_TOPIC: 2, USAGE_TOPIC: 1}
    assert [
        (row["topic"], row["unreadable"]) for row in _redrive(wattstream, "--dry-run", *flags)
    ] == [(POWER_TOPIC, 2), (USAGE_TOPIC, 1)]

    (line,) = _lines(wattstream, "--kind", "version", "--node", "n1", *flags)
    assert (line["value"], line["reason"]) == (
        NEWER.decode(),
        "v is 2: this release reads version 1",
    )
    line["value"] = line["value"].replace('"v": 2', '"v": 1')
    Path("repaired.jsonl").write_text(json.dumps(line))
    assert _redrive(wattstream, "--from", "repaired.jsonl", *flags) == [
        {"topic": POWER_TOPIC, "redriven": 1, "unreadable": 0, "truncated": 0, "refused": 0}
    ]
    assert _dead_by_topic(wattstream, *flags) == {POWER_TOPIC: 1, USAGE_TOPIC: 1}
    both = _lines(wattstream, "--all", "--node", "n1", *flags)
    assert sorted((one["kind"], "redriven" in one) for one in both) == [
        ("missing-field", False),
        ("version", True),
    ]

    # It has gone back: once more only if that is wanted.
    found = wattstream("topics", "redrive", "--from", "repaired.jsonl", *flags)
    assert found.status == 1
    assert "there is none that waits" in found.err
    assert found.err.endswith("wattstream: 1 of 1 letters were not redriven\n")
    (row,) = _redrive(wattstream, "--from", "repaired.jsonl", "--again", *flags)
    assert row["redriven"] == 1

    learned = wattstream("learn", "--once", *flags)
    assert learned.status == 0
    assert _dead_by_topic(wattstream, *flags) == {POWER_TOPIC: 1, USAGE_TOPIC: 1}


def test_letters_are_repaired_and_redriven(wattstream: Run, tmp_path: Path) -> None:
    _bury(wattstream, f"sqlite:{tmp_path}/wattstream-data/log.sqlite")
    _repair_and_redrive(wattstream)


@pytest.mark.slow
def test_letters_are_repaired_and_redriven_on_kafka(wattstream: Run, own_kafka: Broker) -> None:
    flags = ("--log", own_kafka.url)
    _bury(wattstream, own_kafka.url, *flags)
    with open_log(own_kafka.url) as log:
        log.append_many(POWER_TOPIC, [Outgoing("n3", b"x" * 2_000_000)])
    assert wattstream("learn", "--once", *flags).status == 0
    (long,) = _lines(wattstream, "--node", "n3", *flags)
    assert long["truncated"] == "2000000 bytes, the first 1000000 are here"
    found = wattstream("topics", "redrive", "--node", "n3", *flags)
    assert "stays: it was truncated: 2000000 bytes" in found.err
    assert found.out.splitlines()[1].split("\t") == [POWER_TOPIC, "0", "0", "1", "0"]
    # A whole one for it may go; then all is as on a file.
    long["value"] = NEWER.decode().replace('"v": 2', '"v": 1').replace("n1", "n3")
    Path("long.jsonl").write_text(json.dumps(long))
    assert _redrive(wattstream, "--from", "long.jsonl", *flags)[0]["redriven"] == 1
    _repair_and_redrive(wattstream, *flags)


def test_after_an_upgrade_letters_go_back_as_they_are(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:{tmp_path}/wattstream-data/log.sqlite"
    _bury(wattstream, url)
    monkeypatch.setattr("stream.records.VERSION", 2)
    found = wattstream("topics", "redrive")
    assert found.status == 0
    assert found.out.splitlines() == [
        "topic\tredriven\tunreadable\ttruncated\trefused",
        f"{POWER_TOPIC}\t1\t1\t0\t0",
        f"{USAGE_TOPIC}\t0\t1\t0\t0",
    ]
    assert found.err.count(" stays: ") == 2
    (line,) = [one for one in _lines(wattstream, "--all") if "redriven" in one]
    assert line["value"] == NEWER.decode()


def test_repaired_letters_may_come_by_standard_input(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bury(wattstream, f"sqlite:{tmp_path}/wattstream-data/log.sqlite")
    (line,) = _lines(wattstream, "--kind", "version")
    repaired = {"letter": line["letter"], "value": {**json.loads(NEWER), "v": 1}}
    text = io.TextIOWrapper(io.BytesIO(json.dumps(repaired).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    assert _redrive(wattstream, "--from", "-")[0]["redriven"] == 1


def test_many_letters_that_stay_are_not_all_named(wattstream: Run, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/wattstream-data/log.sqlite"
    _bury(wattstream, url)
    with open_log(url) as log:
        log.append_many(POWER_TOPIC, [Outgoing("n2", b"{}")] * 30)
    assert wattstream("learn", "--once").status == 0
    found = wattstream("topics", "redrive")
    assert found.err.count(" stays: ") == 20
    assert found.err.endswith("wattstream: and 13 more\n")


def test_too_many_letters_are_not_counted(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bury(wattstream, f"sqlite:{tmp_path}/wattstream-data/log.sqlite")
    monkeypatch.setattr(topics, "COUNTED", 2)
    found = wattstream("topics", "--json")
    assert {row["dead"] for row in json.loads(found.out)} == {None}
    assert "3 messages are in wattstream.dead, too many to count" in found.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["--json", "redrive"], "--json belongs after redrive"),
        (["--data", "x", "dead"], "--data belongs after dead"),
        (["dead", "--kind", "odd"], "--kind is 'odd'; known are version, future, not-json"),
        (["redrive", "--topic", "dead"], "--topic is 'dead'; known are wattstream.usage, watt"),
        (["redrive", "--from", "nowhere.jsonl"], "--from nowhere.jsonl: No such file"),
        (["redrive", "--from", "bad.jsonl"], "bad.jsonl, line 1: "),
    ],
)
def test_misuse_is_one_line_and_status_2(wattstream: Run, words: list[str], said: str) -> None:
    Path("bad.jsonl").write_text("{")
    found = wattstream("topics", *words)
    assert said in found.complaint
    assert found.status == 2


def test_without_a_topic_of_dead_letters(wattstream: Run) -> None:
    assert wattstream("topics").status == 0
    for word in ("dead", "redrive"):
        found = wattstream("topics", word)
        assert found.status == 1
        assert "topic 'wattstream.dead' does not exist" in found.complaint
