from __future__ import annotations

import pytest

from estimator.artifacts.artifact import Artifact
from estimator.errors import DamagedError, MisuseError, NotFoundError
from estimator.storage.model_store import ModelStore
from estimator.storage.namespaces import (
    check_namespace,
    existing_namespace,
    in_namespace,
    namespaces,
    promote,
)
from estimator.storage.store import InMemoryStore
from tests.estimator.artifacts.made import made_artifact


def slug_of(artifact: Artifact) -> str:
    return artifact.manifest.key.slug


@pytest.mark.parametrize("name", ["a", "last-month", "2026-11.a_b", "0" * 63])
def test_names(name: str) -> None:
    assert check_namespace(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "a/b", "../a", ".a", "-a", "_a", "a\n", "ä", "0" * 64]
)
def test_bad_names_are_misuse_and_touch_nothing(name: str) -> None:
    store = InMemoryStore()
    for attempt in (check_namespace, lambda name: in_namespace(store, name)):
        with pytest.raises(MisuseError, match="namespace is"):
            attempt(name)
    with pytest.raises(MisuseError, match="namespace is"):
        promote(store, name)
    assert store.list("") == []


def test_what_is_published_in_a_namespace_is_seen_there_only() -> None:
    store = InMemoryStore()
    artifact = made_artifact()
    ModelStore(in_namespace(store, "one")).publish(artifact)
    assert ModelStore(store).indexes() == {}
    assert ModelStore(in_namespace(store, "two")).indexes() == {}
    assert set(ModelStore(existing_namespace(store, "one")).indexes()) == {slug_of(artifact)}
    assert namespaces(store) == ["one"]
    with pytest.raises(NotFoundError, match="namespace 'two' is not in the store; there are: one"):
        existing_namespace(store, "two")


def test_promoting_makes_the_current_artifacts_live_ones() -> None:
    store = InMemoryStore()
    live, replayed = ModelStore(store), ModelStore(in_namespace(store, "one"))
    before = live.publish(made_artifact(seed=1))
    first, second = made_artifact(seed=2), made_artifact(source="acpi", seed=3)
    replayed.publish(made_artifact(seed=4))
    digests = {slug_of(one): replayed.publish(one) for one in (first, second)}
    assert promote(store, "one") == digests
    assert {slug: index.current for slug, index in live.indexes().items()} == digests
    assert [version.digest for version in live.indexes()[slug_of(first)].versions] == [
        before,
        digests[slug_of(first)],
    ]
    assert live.artifact(digests[slug_of(second)]).manifest == second.manifest
    assert promote(store, "one") == digests  # again: nothing happens
    assert len(live.indexes()[slug_of(first)].versions) == 2


def test_one_model_may_be_promoted_alone() -> None:
    store = InMemoryStore()
    replayed = ModelStore(in_namespace(store, "one"))
    first, second = made_artifact(), made_artifact(source="acpi")
    for artifact in (first, second):
        replayed.publish(artifact)
    assert set(promote(store, "one", slug_of(second))) == {slug_of(second)}
    assert set(ModelStore(store).indexes()) == {slug_of(second)}


def test_what_is_not_there_is_named_and_nothing_is_promoted() -> None:
    store = InMemoryStore()
    with pytest.raises(NotFoundError, match=r"namespace 'one' is not in the store.*: none"):
        promote(store, "one")
    part = in_namespace(store, "one")
    part.put("replay.json", b"{}")
    with pytest.raises(NotFoundError, match="namespace 'one' has no models yet"):
        promote(store, "one")
    ModelStore(part).publish(made_artifact())
    with pytest.raises(NotFoundError, match="model 'x' is not in namespace 'one'; there are: "):
        promote(store, "one", "x")
    damaged = ModelStore(part).publish(made_artifact(source="acpi"))
    part.put(f"artifacts/{damaged}.zip", b"")
    with pytest.raises(DamagedError, match=damaged):
        promote(store, "one")
    assert ModelStore(store).indexes() == {}
