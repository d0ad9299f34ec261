"""DynPower from learned records to what Kepler makes of the server's weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import httpx
import numpy as np
import pytest

from estimator.choosing.catalog import Catalog, Query
from estimator.errors import NoModelError
from estimator.isolation.choose import ISOLATORS, make_isolator
from estimator.published.kepler_weights import evaluate_as_kepler
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore
from server.app import make_app
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.shard import Shard
from tests.server.conftest import AsgiTransport
from tests.stream.builders import fleet, joined

METRICS = ["cache_miss", "cpu_cycles", "cpu_instructions"]


@cache
def published(isolator: str) -> tuple[Catalog, ModelStore]:
    shard = Shard(0, pool(isolator=make_isolator(isolator)), lambda *_: None)
    for sample in joined(fleet(nodes=2, steps=60), shard.join):
        shard.learner.learn_one(sample)
    shard.learner.flush()
    models = ModelStore(InMemoryStore())
    Publisher(models).publish(shard)
    catalog = Catalog(models)
    catalog.refresh()
    return catalog, models


def client_of(isolator: str) -> httpx.Client:
    app = make_app(*published(isolator), status_seconds=0)
    return httpx.Client(transport=AsgiTransport(app), base_url="http://test")


def weights(isolator: str, source: str) -> Any:
    body = {"metrics": METRICS, "output_type": "DynPower", "source": source, "weight": True}
    response = client_of(isolator).post("/model", json=body)
    assert response.status_code == 200
    return response.json()


@pytest.mark.parametrize("isolator", ISOLATORS)
@pytest.mark.parametrize("source", ["rapl-sysfs", "acpi"])
def test_what_kepler_makes_of_the_weights_adds_up(isolator: str, source: str) -> None:
    """Within a milliwatt a workload, by which Kepler cuts its numbers off."""
    answer = weights(isolator, source)
    rates = np.random.default_rng(3).uniform(0.0, 1.0, (7, 3)) * [4e6, 2e9, 3e9]

    def milliwatts(row: Any) -> dict[str, int]:
        return evaluate_as_kepler(answer, dict(zip(METRICS, row.tolist(), strict=True)))

    node, shares = milliwatts(rates.sum(axis=0)), [milliwatts(row) for row in rates]
    asked = ["platform"] if source == "acpi" else ["package", "dram"]
    for component in asked:
        added = sum(share[component] for share in shares)
        assert 0 <= node[component] - added <= len(rates)
        assert milliwatts(np.zeros(3))[component] == 0
    assert sum(node[component] for component in asked) > 0


def test_the_best_models_are_named_for_both() -> None:
    found = client_of("idle").get("/best-models").json()
    assert found["DynPower"] == found["AbsPower"]
    assert set(found["DynPower"]) == {"CounterOnly", "CPUTime"}


def test_archives_of_dynpower_are_other_than_abspowers() -> None:
    client = client_of("min")
    body = {"metrics": METRICS, "source": "acpi"}
    tags = [
        client.post("/model", json={**body, "output_type": output}).headers["etag"]
        for output in ("AbsPower", "DynPower")
    ]
    assert len(set(tags)) == 2


def test_a_filter_by_percentages_admits_no_model_that_has_none() -> None:
    catalog, _ = published("idle")
    asked = Query(tuple(METRICS), "DynPower", "acpi", filter="mae:1000")
    assert catalog.select(asked).manifest.key.output_type == "DynPower"
    with pytest.raises(NoModelError):
        catalog.select(Query(tuple(METRICS), "DynPower", "acpi", filter="mape:1000"))
