"""``models history``, ``diff``, ``rollback`` and ``pin`` on a store with some versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from estimator.artifacts.artifact import Artifact
from estimator.storage.model_index import Decision
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from tests.estimator.artifacts.made import made_artifact
from tests.server.commands.inside import Run

SLUG = "xeon_gold_6130-64c-2s-188g-2100m.rapl-sysfs.AbsPower.BPFOnly"


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    return ModelStore(open_store(f"file:{tmp_path / 'wattstream-data' / 'store'}"))


@pytest.fixture
def names(models: ModelStore) -> list[str]:
    """Three versions, of which the last was held back, and another model."""
    models.publish(made_artifact(group="CPUTime"))
    artifacts = [
        made_artifact(seed=seed, samples=100 * seed, mae={"0": float(seed)}) for seed in (1, 2, 3)
    ]
    held = [models.publish(one) for one in artifacts[:2]]
    return [*held, models.publish(artifacts[2], decide=lambda index: Decision(held=True))]


def test_the_history_of_a_model(wattstream: Run, names: list[str]) -> None:
    heading, *rows = (
        line.split("\t") for line in wattstream("models", "history", "BPF").out.splitlines()
    )
    found = [dict(zip(heading, row, strict=True)) for row in rows]
    assert [row["version"] for row in found] == [name[:12] for name in names for _ in (0, 1)]
    assert [row["component"] for row in found] == ["package", "dram"] * 3
    assert [row["next W"] for row in found][::2] == ["1.00", "2.00", "3.00"]
    assert [row["samples"] for row in found][::2] == ["100", "200", "300"]
    assert [row["is"] for row in found][::2] == ["", "current", "held back"]
    assert found[0]["learned until (UTC)"] == "2023-11-14 22:13:20"
    index = json.loads(wattstream("models", "history", SLUG, "--json").out)
    assert (index["slug"], index["current"], index["held_back"]) == (SLUG, names[1], 1)


def test_the_list_says_what_is_held_back(wattstream: Run, names: list[str]) -> None:
    lines = wattstream("models").out.splitlines()
    assert {line.split("\t")[3]: line.split("\t")[-1] for line in lines[1:]} == {
        "BPFOnly": "held, 1 held back",
        "CPUTime": "",
    }


def test_a_roll_back_pins_and_says_so(
    wattstream: Run, models: ModelStore, names: list[str]
) -> None:
    found = wattstream("models", "rollback", "BPF")
    assert found.status == 0
    assert f"is rolled back to {names[0][:12]}" in found.out
    assert f"wattstream models pin {SLUG} --off" in found.out
    index = models.index(SLUG)
    assert (index.current, index.pinned, index.rollbacks) == (names[0], True, {"manual": 1})
    models.publish(made_artifact(seed=4))
    assert models.index(SLUG).current == names[0]
    rows = wattstream("models", "history", "BPF").out.splitlines()
    assert rows[1].split("\t")[-1] == "current pinned"
    # By name, also to what was held back: a person may know better.
    assert wattstream("models", "rollback", "BPF", names[2][:8]).status == 0
    assert models.index(SLUG).current == names[2]
    assert models.index(SLUG).rollbacks == {"manual": 2}


def test_there_may_be_nothing_to_go_back_to(wattstream: Run, names: list[str]) -> None:
    found = wattstream("models", "rollback", "CPUTime")
    assert found.status == 1
    assert "has no version before" in found.complaint


def test_pinning_and_unpinning(wattstream: Run, models: ModelStore, names: list[str]) -> None:
    found = wattstream("models", "pin", "BPF")
    assert (found.status, models.index(SLUG).pinned) == (0, True)
    assert f"is pinned to {names[1][:12]}" in found.out
    assert wattstream("models", "pin", "BPF", names[0][:10]).status == 0
    assert models.index(SLUG).current == names[0]
    assert "pinned no more" in wattstream("models", "pin", "BPF", "--off").out
    assert "was not pinned" in wattstream("models", "pin", "BPF", "--off").out
    index = models.index(SLUG)
    assert (index.current, index.pinned, index.rollbacks) == (names[0], False, {})
    newest = models.publish(made_artifact(seed=4))
    assert models.index(SLUG).current == newest
    found = wattstream("models", "pin", "BPF", names[0], "--off")
    assert found.status == 2
    assert "--off" in found.complaint


def test_two_versions_are_compared(wattstream: Run, names: list[str]) -> None:
    found = wattstream("models", "diff", "BPF", names[0][:12], names[1][:12])
    heading, *rows = (line.split("\t") for line in found.out.splitlines())
    assert heading == ["what", "of", names[0][:12], names[1][:12], "unit"]
    assert ["samples", "", "100", "200", ""] in rows
    assert ["mae 0 s", "package", "1", "2", "W"] in rows
    # What is the same in both is not shown.
    assert not [row for row in rows if row[2] == row[3]]
    same = wattstream("models", "diff", "BPF", names[0][:12], names[0][:12], "--json")
    assert json.loads(same.out) == []
    rows = json.loads(wattstream("models", "diff", "BPF", names[0], names[1], "--json").out)
    assert {"what": "samples", "of": "", "a": 100, "b": 200, "unit": ""} in rows


def test_a_difference_in_time_is_shown_as_a_time(
    wattstream: Run, models: ModelStore, names: list[str]
) -> None:
    one = made_artifact(seed=2)
    later = models.publish(Artifact(replace(one.manifest, at=one.manifest.at + 60_000), one.model))
    rows = wattstream("models", "diff", "BPF", names[1], later).out.splitlines()
    assert rows[2].split("\t") == [
        "learned until",
        "",
        "2023-11-14 22:13:20.002",
        "2023-11-14 22:14:20.002",
        "UTC",
    ]


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("history", "nothing"), 1, "model 'nothing' is not there"),
        (("history", "xeon"), 2, "model 'xeon' may be any of"),
        (("pin", "BPF", "zz"), 1, "version 'zz' is not there"),
        (("rollback", "BPF", ""), 2, "version '' may be any of"),
        (("diff", "BPF", "zz", "zz"), 1, "version 'zz' is not there"),
    ],
)
def test_names_that_are_none_or_several(
    wattstream: Run, names: list[str], words: tuple[str, ...], status: int, complaint: str
) -> None:
    found = wattstream("models", *words)
    assert found.status == status
    assert complaint in found.complaint


def test_what_is_pinned_is_not_promoted_over(
    wattstream: Run, models: ModelStore, names: list[str], tmp_path: Path
) -> None:
    from estimator.storage.namespaces import in_namespace

    store = open_store(f"file:{tmp_path / 'wattstream-data' / 'store'}")
    ModelStore(in_namespace(store, "june")).publish(made_artifact(seed=9))
    models.pin(SLUG, names[0])
    found = wattstream("models", "promote", "june")
    assert found.status == 2
    assert f"model {SLUG} is pinned" in found.complaint
    models.unpin(SLUG)
    assert wattstream("models", "promote", "june").status == 0
    assert models.index(SLUG).current not in names
