from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from estimator.artifacts.artifact import digest, encode
from estimator.errors import (
    ConflictError,
    DamagedError,
    MisuseError,
    NotFoundError,
    StoreError,
)
from estimator.machine import MachineSpec
from estimator.storage.model_index import Decision, ModelIndex
from estimator.storage.model_store import ModelStore
from estimator.storage.retention import last
from estimator.storage.store import InMemoryStore, Store, open_store
from tests.estimator.artifacts.made import XEON, made_artifact

SLUG = "xeon_gold_6130-64c-2s-188g-2100m.rapl-sysfs.AbsPower.BPFOnly"
INDEX = f"models/{SLUG}.json"


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def models(store: Store) -> ModelStore:
    return ModelStore(store)


def test_a_published_artifact_is_current_and_can_be_read(models: ModelStore) -> None:
    artifact = made_artifact(samples=7)
    name = models.publish(artifact)
    assert name == digest(encode(artifact))
    index = models.indexes()[SLUG]
    assert index.key == artifact.manifest.key
    assert index.current == name
    (version,) = index.versions
    assert (version.digest, version.samples, version.at) == (name, 7, artifact.manifest.at)
    assert version.machine == XEON
    assert version.errors == artifact.manifest.errors
    assert version.features == artifact.manifest.features
    assert version.components == artifact.manifest.components
    assert models.artifact(name).manifest == artifact.manifest
    assert models.artifact_bytes(name) == encode(artifact)


def test_publishing_what_is_current_changes_nothing(store: Store, models: ModelStore) -> None:
    models.publish(made_artifact())
    before = {path: store.get(path) for path in store.list("")}
    models.publish(made_artifact())
    assert {path: store.get(path) for path in store.list("")} == before


def test_versions_are_kept_oldest_first_and_the_rest_is_deleted(
    store: Store, models: ModelStore
) -> None:
    names = [models.publish(made_artifact(seed=seed), keep=last(3)) for seed in range(5)]
    index = models.indexes()[SLUG]
    assert [version.digest for version in index.versions] == names[2:]
    assert index.current == names[4]
    assert store.list("artifacts") == sorted(f"artifacts/{name}.zip" for name in names[2:])


def test_ten_versions_are_kept_unless_said_otherwise(models: ModelStore) -> None:
    for seed in range(12):
        models.publish(made_artifact(seed=seed))
    assert len(models.indexes()[SLUG].versions) == 10
    with pytest.raises(MisuseError, match="keep is 0"):
        models.publish(made_artifact(), keep=last(0))


def test_a_version_that_is_gone_back_to_stays_until_it_is_unpinned(models: ModelStore) -> None:
    first, second = (models.publish(made_artifact(seed=seed)) for seed in (1, 2))
    models.roll_back(SLUG, first)
    models.roll_back(SLUG, first)
    index = models.index(SLUG)
    assert (index.current, index.pinned, index.rollbacks) == (first, True, {"manual": 1})
    third = models.publish(made_artifact(seed=3))
    index = models.index(SLUG)
    assert [version.digest for version in index.versions] == [first, second, third]
    assert (index.current, index.held_back) == (first, 0)
    models.unpin(SLUG)
    assert models.index(SLUG).current == first
    fourth = models.publish(made_artifact(seed=4))
    assert models.index(SLUG).current == fourth
    # An old version that is published once more is the newest.
    assert models.publish(made_artifact(seed=2)) == second
    index = models.index(SLUG)
    assert [version.digest for version in index.versions] == [first, third, fourth, second]


def test_a_pinned_version_is_kept_whatever_follows(store: Store, models: ModelStore) -> None:
    first = models.publish(made_artifact(seed=1))
    models.pin(SLUG, first)
    names = [models.publish(made_artifact(seed=seed), keep=last(2)) for seed in range(2, 6)]
    index = models.index(SLUG)
    assert (index.current, index.pinned, index.rollbacks) == (first, True, {})
    assert [version.digest for version in index.versions] == [first, *names[-2:]]
    assert models.artifact(first).model.at == 1_700_000_000_001
    models.pin(SLUG, names[-1])
    assert models.index(SLUG).current == names[-1]


def test_a_held_version_is_kept_and_counted_and_does_not_become_current(
    models: ModelStore,
) -> None:
    first, second = (models.publish(made_artifact(seed=seed)) for seed in (1, 2))
    third = models.publish(made_artifact(seed=3), decide=lambda index: Decision(held=True))
    index = models.index(SLUG)
    assert (index.current, index.held_back, index.state) == (second, 1, "held")
    assert index.held_since == 1_700_000_000_003
    assert [version.held for version in index.versions] == [False, False, True]
    models.publish(made_artifact(seed=4), decide=lambda index: Decision(True, first))
    index = models.index(SLUG)
    assert (index.current, index.held_back, index.rollbacks) == (first, 2, {"worse": 1})
    assert (index.held_since, index.rolled_back_at) == (1_700_000_000_003, 1_700_000_000_004)
    # What is decided of a version that is not there any more has no effect but the hold.
    models.publish(made_artifact(seed=5), decide=lambda index: Decision(True, "gone"))
    assert models.index(SLUG).current == first
    sixth = models.publish(made_artifact(seed=6), decide=lambda index: Decision())
    index = models.index(SLUG)
    assert (index.current, index.held_since, index.held_back) == (sixth, None, 3)
    assert third in {version.digest for version in index.versions}


def test_what_was_decided_of_an_index_that_has_changed_is_decided_again() -> None:
    asked: list[str] = []

    def decide(index: ModelIndex) -> Decision:
        asked.append(index.current)
        return Decision(held=True)

    store = Interfering(times=0)
    models = ModelStore(store)
    first = models.publish(made_artifact())
    store.times = 1
    models.publish(made_artifact(seed=1), decide=decide)
    assert asked[0] == first
    assert asked[1] == models.index(SLUG).current != first


class Pinning(InMemoryStore):
    """Somebody pins the first version just before our next swap."""

    first = ""

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        if path == INDEX and self.first:
            first, self.first = self.first, ""
            ModelStore(self).pin(SLUG, first)
        return super().swap(path, data, expected_tag)


def test_a_pin_that_comes_while_a_version_is_published_holds() -> None:
    store = Pinning()
    models = ModelStore(store)
    first = models.publish(made_artifact())
    second = models.publish(made_artifact(seed=1))
    store.first = first
    third = models.publish(made_artifact(seed=2))
    index = models.index(SLUG)
    assert (index.current, index.pinned) == (first, True)
    assert [version.digest for version in index.versions] == [first, second, third]


def test_indexes_of_earlier_releases_are_read(store: Store, models: ModelStore) -> None:
    golden = (Path(__file__).parent.parent / "golden" / "model-index-v1.json").read_bytes()
    store.put(INDEX, golden)
    index = models.index(SLUG)
    assert (index.pinned, index.held_since, index.held_back) == (False, None, 0)
    assert (index.rollbacks, index.rolled_back_at, index.state) == ({}, None, "")
    assert [version.held for version in index.versions] == [False, False]
    assert index.served.digest == index.versions[1].digest
    models.publish(made_artifact(seed=3), decide=lambda index: Decision(held=True))
    assert [version.held for version in models.index(SLUG).versions] == [False, False, True]
    # The fields that an earlier release knows still mean the same.
    written = msgspec.json.decode(store.get(INDEX).data)
    known = msgspec.json.decode(golden)
    assert written["versions"][:2] == [
        {**one, "held": False, "since": 0} for one in known["versions"]
    ]
    assert {name: written[name] for name in ("schema", "key", "current")} == {
        name: known[name] for name in ("schema", "key", "current")
    }


def test_what_is_not_kept_cannot_be_made_current(store: Store, models: ModelStore) -> None:
    name = models.publish(made_artifact())
    other = models.publish(made_artifact(group="CPUTime"))
    with pytest.raises(NotFoundError, match=r"0{64}"):
        models.roll_back(SLUG, "0" * 64)
    with pytest.raises(NotFoundError, match="has no version"):
        models.roll_back(SLUG, other)
    with pytest.raises(NotFoundError, match=r"models/nothing\.json"):
        models.roll_back("nothing", name)
    store.put(f"artifacts/{name}.zip", b"damaged")
    with pytest.raises(DamagedError, match=name):
        models.roll_back(SLUG, name)


def test_damaged_artifacts_are_named(store: Store, models: ModelStore) -> None:
    name = models.publish(made_artifact())
    whole = store.get(f"artifacts/{name}.zip").data
    store.put(f"artifacts/{name}.zip", whole[:-1])
    with pytest.raises(DamagedError, match=f"artifacts/{name}.zip has digest"):
        models.artifact(name)
    nonsense = digest(b"nonsense")
    store.put(f"artifacts/{nonsense}.zip", b"nonsense")
    with pytest.raises(DamagedError, match=f"artifacts/{nonsense}.zip: not a zip"):
        models.artifact(nonsense)
    for name in ("", "../models/x", "0" * 63, "0" * 64):
        with pytest.raises(NotFoundError):
            models.artifact_bytes(name)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"schema":1,', "damaged"),
        (b"\xff\xfe", "damaged"),
        (b'{"schema":9}', "schema is 9: this release reads 1"),
    ],
)
def test_damaged_indexes_are_left_out_and_said_once(
    store: Store,
    models: ModelStore,
    caplog: pytest.LogCaptureFixture,
    data: bytes,
    reason: str,
) -> None:
    models.publish(made_artifact())
    models.publish(made_artifact(group="CPUTime"))
    store.put(INDEX, data)
    store.put("models/notes.txt", b"")
    with caplog.at_level(logging.WARNING):
        assert list(models.indexes()) == [SLUG.replace("BPFOnly", "CPUTime")]
        assert models.unreadable == {SLUG}
        models.indexes()
    (record,) = caplog.records
    assert INDEX in record.getMessage()
    assert reason in record.getMessage()


def test_an_index_of_another_model_or_without_its_current_version_is_damaged(
    store: Store, models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    models.publish(made_artifact())
    store.put("models/other.json", store.get(INDEX).data)
    index = msgspec.structs.replace(models.indexes()[SLUG], current="none")
    store.put(INDEX, msgspec.json.encode(index))
    assert models.indexes() == {}
    assert models.unreadable == {"other", SLUG}
    assert "models/other.json is of" in caplog.text
    assert "which is no version of it" in caplog.text


def test_a_damaged_index_is_begun_anew_and_a_newer_one_is_not_touched(
    store: Store, models: ModelStore
) -> None:
    models.publish(made_artifact())
    store.put(INDEX, b"{")
    name = models.publish(made_artifact())
    assert models.indexes()[SLUG].current == name
    store.put(INDEX, b'{"schema":9}')
    with pytest.raises(DamagedError, match="schema is 9"):
        models.publish(made_artifact())
    assert store.get(INDEX).data == b'{"schema":9}'


def test_two_keys_with_one_name_do_not_mix(models: ModelStore) -> None:
    models.publish(made_artifact(source="my meter"))
    with pytest.raises(StoreError, match="has the same name"):
        models.publish(made_artifact(source="my_meter"))


def test_node_types_are_numbered_once_first_come_first_numbered(
    store: Store, models: ModelStore
) -> None:
    other = MachineSpec(processor="epyc", cores=8)
    assert models.number(XEON) == 1
    assert models.number(other) == 2
    assert models.number(XEON.node_type) == 1
    models.publish(made_artifact(machine=MachineSpec(processor="arm")))
    again = ModelStore(store)
    assert again.number("arm-0c-0s-0g-0m") == 3
    assert again.number(other) == 2


def test_damaged_numbers_are_made_anew_and_newer_ones_are_not_touched(
    store: Store, models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert [models.number("a"), models.number("b")] == [1, 2]
    store.put("node_types.json", b"{")
    assert models.number("c") == 3
    assert ModelStore(store).number("b") == 2
    assert "node_types.json is damaged" in caplog.text
    store.put("node_types.json", b'{"schema":2,"numbers":[]}')
    assert models.number("a") == 1
    with pytest.raises(DamagedError, match="schema is 2"):
        models.number("d")


class Interfering(InMemoryStore):
    """Somebody else changes a path just before each of our swaps of it, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def swap(self, path: str, data: bytes, expected_tag: str | None) -> str:
        if path == INDEX and self.times:
            self.times -= 1
            seed = 1_000 + self.times
            others = made_artifact(seed=seed)
            times, self.times = self.times, 0
            ModelStore(self).publish(others)
            self.times = times
        return super().swap(path, data, expected_tag)


def test_conflicts_are_decided_again() -> None:
    store = Interfering(times=3)
    name = ModelStore(store).publish(made_artifact())
    index = ModelStore(store).indexes()[SLUG]
    assert index.current == name
    assert len(index.versions) == 4
    assert store.list("artifacts") == sorted(f"artifacts/{v.digest}.zip" for v in index.versions)


def test_conflicts_without_end_are_an_error() -> None:
    with pytest.raises(ConflictError, match="100 times in a row"):
        ModelStore(Interfering(times=10_000)).publish(made_artifact())


class Undeletable(InMemoryStore):
    def delete(self, path: str) -> None:
        raise StoreError(f"{path} cannot be deleted")


def test_what_cannot_be_deleted_stays(caplog: pytest.LogCaptureFixture) -> None:
    models = ModelStore(Undeletable())
    models.publish(made_artifact(seed=1), keep=last(1))
    name = models.publish(made_artifact(seed=2), keep=last(1))
    assert models.indexes()[SLUG].current == name
    assert "stays although no index names it" in caplog.text


PUBLISHING = """
import sys
from estimator.storage.model_store import ModelStore
from estimator.storage.retention import last
from estimator.storage.store import open_store
from tests.estimator.artifacts.made import made_artifact
models = ModelStore(open_store(sys.argv[1]))
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    models.publish(made_artifact(seed=seed), keep=last(1000))
    models.number(f"type {seed % 7}")
"""


@pytest.mark.slow
def test_processes_that_publish_the_same_model_lose_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHING, f"file://{tmp_path}", str(start), str(start + 20)],
            cwd=root,
        )
        for start in (0, 100, 200)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    models = ModelStore(open_store(f"file://{tmp_path}"))
    index = models.indexes()[SLUG]
    assert len(index.versions) == 60
    assert all(models.artifact(version.digest) for version in index.versions)
    assert {models.number(f"type {n}") for n in range(7)} == set(range(2, 9))
