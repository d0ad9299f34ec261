"""Which model answers for how long."""

from __future__ import annotations

import msgspec
import pytest

from estimator.choosing.catalog import Catalog
from estimator.choosing.choice import Entry
from estimator.export.estimating import NodeEstimator
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from tests.estimator.served import AT_MS, MACHINE, plain_entry

RATES = {"bpf_cpu_time_ms": 640.0, "other": 1.0}


def entry(group: str, mae: float, machine: str = MACHINE.node_type, digest: str = "d") -> Entry:
    plain = plain_entry()
    errors: dict[str, dict[str, dict[str, float | None]]] = {
        component: {"300": {"mae": mae, "mape": 5.0}} for component in plain.manifest.components
    }
    key = msgspec.structs.replace(plain.manifest.key, feature_group=group, node_type=machine)
    manifest = msgspec.structs.replace(plain.manifest, key=key, errors=errors)
    return msgspec.structs.replace(plain, manifest=manifest, digest=digest)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(ModelStore(InMemoryStore()))


def answering(estimator: NodeEstimator) -> tuple[str, str]:
    found = estimator.estimate(RATES)
    assert found is not None
    return found.entry.manifest.key.feature_group, found.entry.digest


def test_models_that_are_equally_good_do_not_take_turns(catalog: Catalog) -> None:
    estimator = NodeEstimator(catalog, MACHINE, clock=lambda: AT_MS / 1000)
    catalog.adopt([entry("A", 2.0), entry("B", 2.1)])
    assert answering(estimator) == ("A", "d")
    catalog.adopt([entry("A", 2.1, digest="e"), entry("B", 2.0)])
    assert answering(estimator) == ("A", "e")
    catalog.adopt([entry("A", 2.3, digest="f"), entry("B", 2.0)])
    assert answering(estimator) == ("B", "d")
    catalog.adopt([entry("A", 2.3)])
    assert answering(estimator) == ("A", "d")


def test_a_model_of_the_machine_s_own_type_takes_over_at_once(catalog: Catalog) -> None:
    estimator = NodeEstimator(catalog, MACHINE, clock=lambda: AT_MS / 1000)
    other = entry("A", 1.0, "elsium-4c-1s-8g-1000m")
    machine = msgspec.structs.replace(MACHINE, processor="elsium", cores=4, memory=8)
    elsewhere = msgspec.structs.replace(other.manifest, machine=machine)
    other = msgspec.structs.replace(other, manifest=elsewhere)
    catalog.adopt([other])
    assert answering(estimator) == ("A", "d")
    catalog.adopt([other, entry("A", 5.0, digest="own")])
    assert answering(estimator) == ("A", "own")


def test_without_a_model_the_reason_is_told(catalog: Catalog) -> None:
    estimator = NodeEstimator(catalog, MACHINE)
    assert estimator.estimate(RATES) is None
    assert "there are models of none" in estimator.reason
    catalog.adopt([entry("A", 1.0)])
    assert estimator.estimate({"other": 1.0}) is None
    assert "models need bpf_cpu_time_ms" in estimator.reason


def of_guests(group: str, mae: float) -> Entry:
    plain = entry(group, mae, digest="guests")
    key = msgspec.structs.replace(plain.manifest.key, source="hypervisor")
    return msgspec.structs.replace(plain, manifest=msgspec.structs.replace(plain.manifest, key=key))


def test_guests_are_estimated_by_models_of_guests_and_metal_never_is(catalog: Catalog) -> None:
    guest = NodeEstimator(catalog, MACHINE, guest=True, clock=lambda: AT_MS / 1000)
    metal = NodeEstimator(catalog, MACHINE, clock=lambda: AT_MS / 1000)
    catalog.adopt([entry("A", 1.0)])
    assert answering(guest) == answering(metal) == ("A", "d")
    catalog.adopt([entry("A", 1.0), of_guests("A", 9.0)])
    assert answering(guest) == ("A", "guests")
    assert answering(metal) == ("A", "d")
    catalog.adopt([of_guests("A", 9.0)])
    assert metal.estimate(RATES) is None
    assert "rapl-sysfs" in metal.reason
