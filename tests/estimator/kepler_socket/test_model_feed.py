from __future__ import annotations

from pathlib import Path

import pytest

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.choosing.model_cache import ModelCache
from estimator.choosing.nearby import NearbyModels
from estimator.errors import StoreError
from estimator.kepler_socket.counts import Counts
from estimator.kepler_socket.model_feed import ModelFeed
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.storage.model_source import ModelSource
from estimator.storage.model_store import ModelIndex, ModelStore
from estimator.storage.store import InMemoryStore, Store, open_store
from tests.estimator.artifacts.made import XEON, made_artifact


class Counted:
    """A source that may be away, and counts what is fetched."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        self.away = False
        self.fetched = 0

    @property
    def unreadable(self) -> frozenset[str]:
        return self._models.unreadable

    def indexes(self) -> dict[str, ModelIndex]:
        self._check()
        return self._models.indexes()

    def artifact(self, digest: str) -> Artifact:
        self._check()
        return self._models.artifact(digest)

    def artifact_bytes(self, digest: str) -> bytes:
        self._check()
        self.fetched += 1
        return self._models.artifact_bytes(digest)

    def number(self, node_type: MachineSpec | str) -> int:
        return self._models.number(node_type)

    def _check(self) -> None:
        if self.away:
            raise StoreError("the source is away")


class Estimator:
    """What one process has: a catalog of its own, a feed, and the folder of the last one."""

    def __init__(self, source: ModelSource, kept: Store) -> None:
        cache = ModelCache(source, kept)
        self.counts = Counts()
        self.catalog = Catalog(cache)
        self.feed = ModelFeed(self.catalog, self.counts, cache)

    @property
    def digests(self) -> list[str]:
        return [entry.digest for entry in self.catalog.entries]


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path}/kept")


@pytest.fixture
def models() -> ModelStore:
    return ModelStore(InMemoryStore())


def test_the_last_good_models_are_there_without_network(models: ModelStore, kept: Store) -> None:
    names = [models.publish(made_artifact(group=group)) for group in ("BPFOnly", "Basic")]
    source = Counted(models)
    Estimator(source, kept).feed.refresh()
    assert source.fetched == 2
    source.away = True
    later = Estimator(source, kept)
    with pytest.raises(StoreError, match="away"):
        later.feed.refresh()
    assert sorted(later.digests) == sorted(names)
    source.away = False
    later.feed.refresh()
    assert source.fetched == 2
    assert sorted(later.digests) == sorted(names)


def test_only_what_is_served_is_kept(models: ModelStore, kept: Store) -> None:
    source = Counted(models)
    one = Estimator(source, kept)
    for seed in range(3):
        last = models.publish(made_artifact(seed=seed))
        one.feed.refresh()
    assert one.digests == [last]
    assert [path for path in kept.list("") if last in path] == kept.list("artifacts")
    assert len(kept.list("models")) == 1


def test_a_failure_is_counted_and_the_models_stay(models: ModelStore, kept: Store) -> None:
    name = models.publish(made_artifact())
    source = Counted(models)
    one = Estimator(source, kept)
    one.feed.refresh()
    source.away = True
    for _ in range(2):
        one.feed.refresh()
    assert one.digests == [name]
    assert one.counts.refresh_failures == 2


def test_a_damaged_memory_is_fetched_again(models: ModelStore, kept: Store) -> None:
    name = models.publish(made_artifact())
    source = Counted(models)
    Estimator(source, kept).feed.refresh()
    kept.put(f"artifacts/{name}.zip", b"damaged")
    one = Estimator(source, kept)
    one.feed.refresh()
    assert one.digests == [name]
    assert source.fetched == 2
    assert kept.get(f"artifacts/{name}.zip").data == models.artifact_bytes(name)


class Full(InMemoryStore):
    """A disk that is full."""

    def put(self, path: str, data: bytes) -> str:
        raise StoreError("no space left")


def test_a_full_disk_costs_the_next_start_only(
    models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    name = models.publish(made_artifact())
    one = Estimator(Counted(models), Full())
    one.feed.refresh()
    assert one.digests == [name]
    assert "no space left" in caplog.text


SMALL = MachineSpec("amd", "epyc_7763", 8, 1, 32, 2400, 2)


def test_a_node_takes_the_models_of_its_own_type(models: ModelStore) -> None:
    for machine in (XEON, SMALL):
        for group in ("BPFOnly", "Basic"):
            models.publish(made_artifact(machine=machine, group=group))
    for machine in (XEON, SMALL):
        nearby = NearbyModels(models, machine)
        found = nearby.indexes()
        assert len(found) == 2
        assert {index.key.node_type for index in found.values()} == {machine.node_type}
    assert len(NearbyModels(models, UNKNOWN_MACHINE).indexes()) == 4


def test_where_there_is_none_of_its_type_the_most_similar_is_taken(models: ModelStore) -> None:
    models.publish(made_artifact(machine=XEON))
    models.publish(made_artifact(machine=SMALL))
    models.publish(made_artifact(machine=XEON, group="Basic"))
    like_small = MachineSpec("amd", "epyc_7763", 16, 1, 64, 2400, 2)
    nearby = NearbyModels(models, like_small)
    kinds = {index.key.feature_group: index.key.node_type for index in nearby.indexes().values()}
    assert kinds == {"BPFOnly": SMALL.node_type, "Basic": XEON.node_type}


@pytest.mark.parametrize("machine", [XEON, SMALL, MachineSpec(cores=9), UNKNOWN_MACHINE])
def test_the_choice_is_the_same_as_among_all(models: ModelStore, machine: MachineSpec) -> None:
    from estimator.choosing.choice import Query

    for other in (XEON, SMALL, MachineSpec("intel", "xeon_gold_6131", 32, 1, 96, 2000, 2)):
        for group in ("BPFOnly", "Basic"):
            models.publish(made_artifact(machine=other, group=group, mae={"0": float(len(group))}))
    whole, near = Catalog(models), Catalog(NearbyModels(models, machine))
    whole.refresh()
    near.refresh()
    names = {
        "bpf_cpu_time_ms",
        "bpf_page_cache_hit",
        "cache_miss",
        "cpu_cycles",
        "cpu_instructions",
    }
    query = Query(metrics=tuple(sorted(names)), machine=machine)
    assert near.select(query).digest == whole.select(query).digest
