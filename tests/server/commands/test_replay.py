"""``replay``, and what ``models`` says and does of its namespaces."""

from __future__ import annotations

import fcntl
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from stream.log.sqlite import SqliteLog
from tests.server.commands.inside import Outcome, Run
from tests.server.commands.processes import Command, eventually
from tests.server.commands.traces import write_trace
from tests.stream.replays import PARTITIONS, fill_at_once

RANGE = ("--from", "2023-11-14T22:13:50", "--to", "1700000150", "--margin", "inf")


@pytest.fixture
def collected(wattstream: Run, tmp_path: Path) -> Run:
    """A folder whose log has a trace of two nodes, 60 rows each."""
    write_trace(tmp_path / "trace.csv")
    for node in ("n7", "m1"):
        assert wattstream("collect", "--source", "trace.csv", "--node", node).status == 0
    return wattstream


def report(found: Outcome) -> dict[str, Any]:
    assert found.status == 0, found.err
    assert found.out.count("\n") == 1
    said: dict[str, Any] = json.loads(found.out)
    return said


def models(run: Run, *words: str) -> dict[str, str]:
    found = run("models", *words, "--json")
    assert found.status == 0, found.err
    return {one["slug"]: one["current"] for one in json.loads(found.out)}


def test_json_is_one_object_of_the_documented_shape(collected: Run) -> None:
    found = report(collected("replay", *RANGE, "--into", "here", "--json"))
    assert list(found) == [
        *("namespace", "from", "to", "nodes", "deleted_before", "read", "records", "samples"),
        *("left_out", "skipped", "dropped", "dead", "models"),
    ]
    assert (found["namespace"], found["nodes"]) == ("here", [])
    assert (found["from"], found["to"]) == ("2023-11-14T22:13:50Z", "2023-11-14T22:15:50Z")
    assert found["read"] == 2 * (60 + 2 * 61)
    assert found["records"] == 2 * (40 + 2 * 40)
    model = found["models"][0]
    assert model["model"].startswith("unknown.acpi.AbsPower.")
    assert set(model) >= {"node_type", "source", "output_type", "feature_group", "samples"}
    for errors in model["components"].values():
        assert set(errors) == {"mae", "rmse", "mape", "r2", "bias", "served"}


def test_text_is_a_line_for_each_model_and_component(collected: Run) -> None:
    said = report(collected("replay", *RANGE, "--into", "here", "--json"))
    found = collected("replay", "--into", "here")
    assert found.status == 0
    heading, *rows = (line.split("\t") for line in found.out.splitlines())
    assert heading[:4] == ["node type", "source", "output", "group"]
    assert heading[4:8] == ["component", "samples", "MAE W", "RMSE W"]
    shown = {tuple(row[:5]): row for row in rows if len(row) == len(heading)}
    key = ("node_type", "source", "output_type", "feature_group")
    expected = {
        (*(model[name] for name in key), component): errors
        for model in said["models"]
        for component, errors in model["components"].items()
    }
    assert set(shown) == set(expected)
    for place, errors in expected.items():
        assert shown[place][6] == f"{errors['mae']:.2f}"
    assert f"{said['samples']} samples of {said['records']} records; read {said['read']}" in (
        found.out
    )
    assert "other times" in found.out
    assert "wattstream models --namespace here" in found.err


def test_models_are_listed_apart_and_can_be_promoted(collected: Run) -> None:
    assert collected("replay", *RANGE, "--into", "here").status == 0
    assert models(collected) == {}
    mine = models(collected, "--namespace", "here")
    assert mine
    one = min(mine)
    found = collected("models", "promote", "here", "--model", one)
    assert (found.status, found.err) == (0, "")
    assert found.out.splitlines() == ["model\tversion", f"{one}\t{mine[one]}"]
    assert models(collected) == {one: mine[one]}
    assert collected("models", "promote", "here").status == 0
    assert models(collected) == mine


def test_namespaces_that_are_not_there_are_named(collected: Run) -> None:
    assert collected("replay", *RANGE, "--into", "here").status == 0
    for words in (("models", "--namespace", "her"), ("models", "promote", "her")):
        found = collected(*words)
        assert found.status == 1
        assert found.complaint == "namespace 'her' is not in the store; there are: here"
    found = collected("models", "promote", "here", "--model", "x")
    assert (found.status, "model 'x' is not in" in found.complaint) == (1, True)
    found = collected("models", "--namespace", "here", "promote", "here")
    assert (found.status, found.complaint) == (2, "--namespace belongs after promote")


def test_some_nodes_only(collected: Run) -> None:
    words = ("replay", *RANGE, "--json", "--nodes")
    both = report(collected(*words, "n7, m*", "--into", "both"))
    one = report(collected(*words, "n?", "--into", "one"))
    assert both["nodes"] == ["m*", "n7"]
    assert (one["records"], one["left_out"]["other nodes"]) == (120, 182)
    assert both["records"] == 2 * one["records"]
    found = collected(*words, "stranger", "--into", "none")
    assert found.status == 1
    assert "nothing was learned: of 364 records" in found.err.splitlines()[-1]
    assert "there are m1, n7" in found.err.splitlines()[-1]
    found = collected(*words, " , ", "--into", "none")
    assert (found.status, found.complaint) == (2, "--nodes is ' , ': it names no node")


def test_without_a_namespace_the_times_make_one(collected: Run) -> None:
    first = report(collected("replay", *RANGE, "--json"))
    assert first["namespace"] == "20231114t221350-20231114t221550"
    again = collected("replay", *RANGE, "--json")
    assert "364 of them done before" in again.err
    assert report(again) == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--from is needed"),
        (("--from", "-1d"), "--to is needed"),
        (("--from", "now", "--to", "-1d"), "is not before --to"),
        (("--from", "then", "--to", "now"), "time is 'then'"),
        (("--from", "-1d", "--to", "now", "--into", "A"), "namespace is 'A'"),
        ((*RANGE, "--experts", "oracle"), "expert 'oracle' is unknown"),
    ],
)
def test_what_makes_no_sense_is_misuse(collected: Run, words: tuple[str, ...], said: str) -> None:
    found = collected("replay", *words)
    assert found.status == 2
    assert said in found.complaint
    assert list(Path("wattstream-data").rglob("replay.json")) == []


def test_a_range_without_records_is_said_and_keeps_nothing(collected: Run) -> None:
    found = collected("replay", "--from", "2023-11-14", "--to", "2023-11-15", "--into", "here")
    assert found.status == 1
    assert "the log took no record from 2023-11-14T00:00:00Z" in found.complaint
    assert "(--margin); those that it has were appended from" in found.complaint
    assert collected("models", "--namespace", "here").status == 1


def test_without_any_log_nothing_is_made_of_it(wattstream: Run) -> None:
    found = wattstream("replay", "--from", "-1d", "--to", "now")
    assert found.status == 1
    assert "topic 'wattstream.usage' does not exist" in found.complaint
    assert json.loads(wattstream("topics", "--json").out) == []


def test_other_arguments_or_settings_are_named_and_fresh_takes_them(collected: Run) -> None:
    assert collected("replay", *RANGE, "--into", "here").status == 0
    for words, said in (
        (("--to", "1700000160"), "--to is 1700000160, and the replay in this namespace"),
        (("--nodes", "n7"), "--nodes is n7, and"),
        (("--experts", "linear"), "experts is linear, and"),
        (("--lateness", "5"), "lateness is 5, and"),
    ):
        found = collected("replay", "--into", "here", *words)
        assert found.status == 2
        assert said in found.complaint
    found = collected("replay", *RANGE, "--into", "here", "--nodes", "n7", "--fresh", "--json")
    assert report(found)["nodes"] == ["n7"]


def test_one_replay_a_namespace_at_a_time(collected: Run, tmp_path: Path) -> None:
    assert collected("replay", *RANGE, "--into", "here").status == 0
    path = tmp_path / "wattstream-data" / "replays" / "here.lock"
    with path.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = collected("replay", "--into", "here")
        assert found.status == 1
        assert "namespace 'here' is being replayed into already" in found.complaint
        assert collected("replay", *RANGE, "--into", "there").status == 0


@pytest.mark.slow
def test_ctrl_c_commits_and_says_how_to_go_on(wattstream: Run, tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "wattstream-data" / "log.sqlite") as log:
        fill_at_once(log, nodes=8, steps=300)
    words = ("replay", "--from", "2023-11-14", "--to", "2023-11-15", "--margin", "inf")
    expected = report(wattstream(*words, "--into", "calm", "--json"))
    pointers = tmp_path / "wattstream-data" / "store" / "replays" / "here" / "checkpoints"
    with Command(tmp_path, [*words, "--into", "here", "--commit-interval", "0.05"]) as running:
        # A claimed partition has a pointer already, which names no checkpoint yet.
        eventually(lambda: list(pointers.rglob("*.ckpt")))
        assert running.stop(signal.SIGINT, 60) == 130
        assert "to go on: wattstream replay --into here" in running.said
        assert "Traceback" not in running.said
    resumed = wattstream("replay", "--into", "here", "--json")
    assert " of them done before" in resumed.err
    assert {**report(resumed), "namespace": "calm"} == expected


@pytest.mark.slow
def test_learn_once_can_be_interrupted_too(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "wattstream-data" / "log.sqlite") as log:
        fill_at_once(log, nodes=8, steps=2000)
    words = ["learn", "--once", "--partitions", PARTITIONS]
    with Command(tmp_path, words) as running:
        lock = tmp_path / "wattstream-data" / "learner.lock"
        eventually(lambda: lock.exists() and lock.read_text() == str(running.process.pid))
        assert running.stop(signal.SIGINT, 60) == 130
        assert "interrupted before the end" in running.said
