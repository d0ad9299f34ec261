from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from estimator.arrays import State
from estimator.artifacts.artifact import decode, encode
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.errors import StoreError
from estimator.machine import UNKNOWN_MACHINE
from estimator.model_key import ModelKey
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from estimator.vocabulary import HORIZONS
from stream.learning.learner import Pool
from stream.learning.pools import pool
from stream.learning.publisher import FEWEST_SAMPLES, Publisher, artifact_of
from stream.learning.shard import Shard
from tests.stream.builders import MACHINE, Record, fleet, joined


def shard_of(records: Sequence[Record], experts: Pool | None = None) -> Shard:
    shard = Shard(0, experts or pool(), lambda message, reason: None)
    teach(shard, records)
    return shard


def teach(shard: Shard, records: Sequence[Record]) -> None:
    for sample in joined(records, shard.join):
        shard.learner.learn_one(sample)
    shard.learner.flush()


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def models(store: InMemoryStore) -> ModelStore:
    return ModelStore(store)


@pytest.mark.parametrize(("steps", "published"), [(5, False), (12, True)])
def test_a_model_of_few_samples_is_not_published(
    models: ModelStore, steps: int, published: bool
) -> None:
    shard = shard_of(fleet(nodes=1, steps=steps, restless=False))
    enough = [key for key, m in shard.learner.models.items() if m.samples >= FEWEST_SAMPLES]
    assert bool(enough) == published
    assert Publisher(models).publish(shard) == len(enough)
    assert {index.key for index in models.indexes().values()} == set(enough)


def test_what_has_not_changed_is_not_published_again(
    models: ModelStore, store: InMemoryStore
) -> None:
    records = fleet(nodes=1, steps=30, restless=False)
    shard = shard_of(records[: len(records) // 2])
    publisher = Publisher(models)
    assert publisher.publish(shard) == len(shard.learner.models) == 4
    there = store.list("")
    assert publisher.publish(shard) == 0
    assert store.list("") == there
    teach(shard, [r for r in records[len(records) // 2 :] if getattr(r, "source", "") != "acpi"])
    assert publisher.publish(shard) == 2
    # A new process asks the store what was published.
    assert Publisher(models).publish(shard) == 0
    versions = [len(index.versions) for index in models.indexes().values()]
    assert sorted(versions) == [1, 1, 2, 2]


def test_an_artifact_predicts_what_the_live_model_does() -> None:
    shard = shard_of(fleet(nodes=2, steps=40), pool(["ridge", "linear", "amf"]))
    shard.positions.update({"wattstream.usage": 7})
    rng = np.random.default_rng(1)
    for key, model in shard.learner.models.items():
        artifact = artifact_of(key, MACHINE, model, shard.positions)
        assert artifact is not None
        again = decode(encode(artifact))
        assert again.manifest == artifact.manifest
        manifest = again.manifest
        assert (manifest.key, manifest.machine, manifest.samples) == (key, MACHINE, model.samples)
        assert manifest.offsets["wattstream.usage"] == 7
        assert manifest.features == list(model.features)
        assert set(manifest.errors) == set(model.components)
        for found in manifest.errors.values():
            assert set(found) == {str(horizon) for horizon in HORIZONS}
            assert found["0"]["mae"] is not None
        assert model.current is not None
        rows = rng.uniform(0, 2, (20, len(model.features))) * model.current.seen[1]
        rows[0] = 0.0
        for horizon in range(len(HORIZONS)):
            live = model.current.predict_many(rows, horizon)
            assert again.model.predict_many(rows, horizon).tobytes() == live.tobytes()


def test_lines_for_kepler_are_never_negative() -> None:
    shard = shard_of(fleet(nodes=1, steps=40, restless=False))
    for key, model in shard.learner.models.items():
        artifact = artifact_of(key, MACHINE, model, {})
        assert artifact is not None
        assert set(artifact.manifest.lines) == set(model.components)
        for line in artifact.manifest.lines.values():
            assert line.bias >= 0
            assert min(line.weights.values()) >= 0
            assert list(line.weights) == list(model.features)


def test_nothing_learned_is_no_artifact() -> None:
    shard = shard_of(fleet(nodes=1, steps=10, restless=False))
    (key, model), *_ = shard.learner.models.items()
    fresh = type(model)(model.features, model.components, pool().banks)
    assert artifact_of(key, UNKNOWN_MACHINE, fresh, {}) is None


class Lost:
    """An expert that has lost its way: its coefficients are no numbers."""

    names = ("lost",)

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        self._shape = (1, 1 + len(features), len(components))

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        return [self.freeze()] * len(batch)

    def freeze(self) -> FrozenPolynomials:
        features = self._shape[1] - 1
        return FrozenPolynomials(np.ones(features), np.full(self._shape, np.nan), order=1)

    def absorb(self, other: Bank, share: float) -> None:
        raise NotImplementedError

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        pass


def test_a_model_that_cannot_be_an_artifact_holds_up_nothing(
    models: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    shard = shard_of(fleet(nodes=1, steps=20, restless=False))
    lost = shard_of(
        fleet(nodes=1, steps=20, restless=False), Pool({"x": ("cpu_cycles",)}, {"lost": Lost})
    )
    ((key, model), *_) = lost.learner.models.items()
    others = dict(shard.learner.models)
    shard.learner.models.clear()
    shard.learner.models.update({key: model, **others})
    publisher = Publisher(models)
    assert publisher.publish(shard) == 4
    assert caplog.text.count("is not published") == 1
    assert key.slug in caplog.text
    assert publisher.publish(shard) == 0
    assert caplog.text.count("is not published") == 1


class Refusing(InMemoryStore):
    refusing = True

    def put(self, path: str, data: bytes) -> str:
        if self.refusing:
            raise StoreError(f"{path}: refused")
        return super().put(path, data)


def test_what_the_store_refuses_is_published_later() -> None:
    store = Refusing()
    publisher = Publisher(ModelStore(store))
    shard = shard_of(fleet(nodes=1, steps=20, restless=False))
    with pytest.raises(StoreError):
        publisher.publish(shard)
    store.refusing = False
    assert publisher.publish(shard) == 4


def test_keys_name_what_was_learned(models: ModelStore) -> None:
    Publisher(models).publish(shard_of(fleet(nodes=1, steps=20, restless=False)))
    assert {index.key for index in models.indexes().values()} == {
        ModelKey(MACHINE.node_type, source, "AbsPower", group)
        for source in ("rapl-sysfs", "acpi")
        for group in ("CounterOnly", "CPUTime")
    }


def test_an_artifact_says_how_wrong_it_is_on_strangers() -> None:
    shard = shard_of(fleet(nodes=1, steps=12, restless=False))
    key, model = next(iter(shard.learner.models.items()))
    artifact = artifact_of(key, MACHINE, model, {})
    assert artifact is not None
    component = model.components[0]
    assert "transfer" not in artifact.manifest.errors[component]
    assert model.current is not None
    rows, watts = np.zeros((1, len(model.features))), np.zeros((1, len(model.components)))
    model.assessment.score_strangers("transfer", model.current, rows, watts, model.current.at)
    artifact = artifact_of(key, MACHINE, model, {})
    assert artifact is not None
    errors = decode(encode(artifact)).manifest.errors[component]
    assert errors["transfer"]["count"] == 1.0
