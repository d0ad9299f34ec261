"""Bodies made up to break ``POST /model``; ``FUZZ_EXAMPLES=10000`` tries as many."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estimator.choosing.catalog import Catalog
from estimator.storage.model_store import ModelStore
from estimator.storage.retention import last
from estimator.storage.store import InMemoryStore
from server.app import make_app
from tests.estimator.artifacts.made import made_artifact
from tests.made_up import anything, encoded
from tests.server.conftest import AsgiTransport, Served

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "200"))
GOOD: Final[dict[str, Any]] = {
    "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
    "output_type": "AbsPower",
    "source": "rapl-sysfs",
    "node_type": 0,
    "weight": True,
    "trainer_name": "",
    "pipeline_name": "",
    "filter": "",
    "machine_spec": {"processor": "xeon", "cores": 8},
    "loose_node_type": True,
}

likely: dict[str, st.SearchStrategy[Any]] = {
    "metrics": st.lists(st.sampled_from(GOOD["metrics"]) | st.text(max_size=5), max_size=4),
    "output_type": st.sampled_from(["AbsPower", "DynPower"]),
    "source": st.sampled_from(["acpi", "intel_rapl", "redfish", ""]),
    "node_type": st.integers(-2, 3) | st.integers(),
    "weight": st.booleans(),
    "trainer_name": st.sampled_from(
        ["SGDRegressorTrainer", "LogisticRegressionTrainer", "Wattstream"]
    ),
    "pipeline_name": st.sampled_from(["wattstream", "ec2"]),
    "filter": st.from_regex(
        r"(mae|mape|r2|features|attrs|\w+):[-+.,\w]*(;\w*:?\w*)?", fullmatch=True
    ),
    "machine_spec": st.dictionaries(
        st.sampled_from(["processor", "cores", "chips", "memory", "frequency"]),
        anything,
        max_size=4,
    ),
    "loose_node_type": st.booleans(),
}
near = st.fixed_dictionaries({}, optional={key: of | anything for key, of in likely.items()}).map(
    lambda changes: {**GOOD, **changes}
)
bodies = (
    near.map(encoded)
    | anything.map(encoded)
    | st.binary(max_size=200)
    | st.tuples(near.map(json.dumps), st.integers(0, 300)).map(
        lambda cut: cut[0][: cut[1]].encode()
    )
)


@pytest.fixture(scope="module")
def client() -> Iterator[Served]:
    models = ModelStore(InMemoryStore())
    for seed, output in enumerate(("AbsPower", "DynPower")):
        models.publish(made_artifact(seed=seed, output_type=output), last(10))
    catalog = Catalog(models)
    catalog.refresh()
    with Served(
        transport=AsgiTransport(make_app(catalog, models)), base_url="http://test"
    ) as served:
        assert served.post("/model", json=GOOD).status_code == 200
        yield served


@pytest.mark.timeout(3600)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(body=bodies)
def test_any_body_is_answered_or_refused_with_a_sentence(client: Served, body: bytes) -> None:
    response = client.post("/model", content=body)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        assert response.json()["error"]
        assert "\n" not in response.json()["error"]
