"""The application on a real store and catalog, from the publisher's hand to Kepler's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog, Entry
from estimator.published.kepler_weights import evaluate_as_kepler
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.app import make_app
from server.web.http_server import HttpServer
from tests.server.conftest import AsgiTransport
from tests.server.fakes import make_entry

# As it is sent by those who measure this server.
MEASURED = (
    b'{"metrics":["bpf_cpu_time_ms","bpf_page_cache_hit"],"output_type":"AbsPower",'
    b'"source":"intel_rapl","weight":true,"trainer_name":"SGDRegressorTrainer","filter":"",'
    b'"node_type":0}'
)


def _publish(models: ModelStore, entry: Entry) -> str:
    return models.publish(Artifact(entry.manifest, entry.model))


@pytest.fixture
def models() -> ModelStore:
    return ModelStore(open_store("memory:"))


@pytest.fixture
def catalog(models: ModelStore) -> Catalog:
    return Catalog(models)


@pytest.fixture
def client(models: ModelStore, catalog: Catalog) -> Iterator[httpx.Client]:
    transport = AsgiTransport(make_app(catalog, models))
    with httpx.Client(transport=transport, base_url="http://test") as client:
        yield client


def test_an_empty_store_is_said_everywhere(client: httpx.Client, catalog: Catalog) -> None:
    catalog.refresh()
    assert client.get("/readyz").status_code == 503
    assert client.post("/model", content=MEASURED).status_code == 400
    assert client.get("/models").json() == []
    assert client.get("/metrics").status_code == 200


def test_a_published_model_is_served_in_every_form(
    client: httpx.Client, catalog: Catalog, models: ModelStore
) -> None:
    digest = _publish(models, make_entry())
    _publish(models, make_entry(source="acpi"))
    catalog.refresh()

    weights = client.post("/model", content=MEASURED)
    assert weights.status_code == 200
    number = models.number(make_entry().manifest.key.node_type)
    assert weights.json()["model_name"] == f"SGDRegressorTrainer_{number}"
    watts = evaluate_as_kepler(weights.json(), {"bpf_cpu_time_ms": 200, "bpf_page_cache_hit": 0})
    # 10 W + 2 W * 200 / 100, in milliwatts.
    assert watts["dram"] == 14_000

    archive = client.post("/model", json={**json.loads(MEASURED), "weight": False})
    assert archive.headers["etag"] == f'"{digest}"'
    again = client.get(archive.headers["content-location"])
    assert again.content == archive.content == models.artifact_bytes(digest)

    assert client.get("/readyz").json() == {"status": "ready", "models": 2}
    assert digest in {row["digest"] for row in client.get("/models").json()}
    assert client.get("/best-models").json()["AbsPower"] == {"BPFOnly": f"Wattstream_{number}"}
    assert 'wattstream_model_mae_watts{component="package"' in client.get("/metrics").text


def test_a_newer_version_is_served_after_a_refresh_and_the_older_one_kept(
    client: httpx.Client, catalog: Catalog, models: ModelStore
) -> None:
    first = _publish(models, make_entry())
    catalog.refresh()
    tag = client.post("/model", content=MEASURED).headers["etag"]
    second = _publish(models, make_entry(samples=2000))
    assert client.post("/model", content=MEASURED).headers["etag"] == tag
    catalog.refresh()
    assert client.post("/model", content=MEASURED).headers["etag"] != tag
    row = client.get("/models").json()[0]
    assert [one["digest"] for one in row["versions"]] == [first, second]
    assert client.get(f"/artifacts/{first}").status_code == 200


def test_every_unreasonable_wish_is_refused_with_a_sentence(
    client: httpx.Client, catalog: Catalog, models: ModelStore
) -> None:
    _publish(models, make_entry())
    catalog.refresh()
    for wish in (
        {"source": "windmill"},
        {"source": "redfish"},
        {"output_type": "Foo"},
        {"metrics": ["nothing"]},
        {"trainer_name": "NoSuchTrainer"},
        {"filter": "mae"},
        {"filter": "mae:0.001"},
    ):
        response = client.post("/model", json={**json.loads(MEASURED), **wish})
        assert response.status_code == 400, wish
        assert len(response.json()["error"]) > 20


def test_a_running_server_finds_what_is_published_by_itself(models: ModelStore) -> None:
    app = make_app(Catalog(models), models, refresh_seconds=0.02)
    with HttpServer(app, "127.0.0.1", 0) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/readyz").status_code == 503
        _publish(models, make_entry())
        with client.stream("GET", "/live") as stream:
            seen = ""
            for text in stream.iter_text():
                seen += text
                if '{"models":1}' in seen:
                    break
        assert client.get("/readyz").status_code == 200
        assert client.post("/model", content=MEASURED).status_code == 200


def test_every_route_is_documented(models: ModelStore, catalog: Catalog) -> None:
    text = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    documented = set(re.findall(r"^\| `(\w+) (\S+)` \|", text, re.MULTILINE))
    routes = {
        ("POST" if "POST" in (route.methods or ()) else "GET", route.path)
        for route in make_app(catalog, models).routes
        if isinstance(route, Route) and not route.path.startswith("/pages/")
    }
    assert documented == routes
