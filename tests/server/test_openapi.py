"""The description of the routes is true: of all of them, and of whatever is sent to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from starlette.applications import Starlette
from starlette.routing import Route

from estimator.artifacts.artifact import Artifact
from estimator.choosing.catalog import Catalog
from estimator.storage.model_store import ModelStore
from estimator.storage.store import open_store
from server.app import ENDLESS, make_app
from server.monitoring.live import Live
from server.openapi import description
from tests.server.conftest import Serve
from tests.server.fakes import FakeProvider, make_entry

CONFIG = Path(__file__).parents[2] / "docs" / "schemathesis.toml"
SLUG = make_entry().manifest.key.slug


def _app() -> Starlette:
    """The application on a real store, with two models of three versions each."""
    models = ModelStore(open_store("memory:"))
    for samples in (1000, 2000, 3000):
        for group in ("BPFOnly", "Basic"):
            entry = make_entry(group, samples=samples)
            models.publish(Artifact(entry.manifest, entry.model))
    catalog = Catalog(models)
    catalog.refresh()
    live = Live()
    live.nodes.note(["a", "b"], 10.0, [0.1, 0.2], "xeon")
    return make_app(catalog, models, FakeProvider(), live)


schema = schemathesis.openapi.from_asgi(
    "/openapi.json", _app(), config=SchemathesisConfig.from_path(CONFIG)
)
NAMED = f"""
[parameters]
key = "{SLUG}"
[[operations]]
exclude-path-regex = "^/models/.*"
enabled = false
"""
schema_of_one = schemathesis.openapi.from_asgi(
    "/openapi.json", _app(), config=SchemathesisConfig.from_str(NAMED)
)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_schemathesis_finds_no_fault(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()


@pytest.mark.slow
@schema_of_one.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_nor_with_a_model_that_is_there(case: schemathesis.Case[Any]) -> None:
    response = case.call_and_validate()
    if (
        case.operation.method == case.method == "GET"
        and (case.path_parameters or {}).get("key") == SLUG
    ):
        assert response.status_code == 200


def test_every_route_is_described_but_the_page_and_streams(serve: Serve) -> None:
    routes = {
        (method.lower(), route.path)
        for route in serve().app.routes
        if isinstance(route, Route)
        for method in (route.methods or {"POST"}) - {"HEAD"}
        if route.path not in ("/", *ENDLESS) and not route.path.startswith("/pages/")
    }
    paths = description()["paths"]
    assert {(method, path) for path, one in paths.items() for method in one} == routes


def test_real_answers_are_as_they_are_described(serve: Serve) -> None:
    client = serve(make_entry())
    said = client.get("/openapi.json").json()
    assert said == description()
    for path in ("/models", "/overview", "/nodes", "/healthz", "/readyz"):
        answer = said["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        whole = {**answer["schema"], "components": said["components"]}
        Draft202012Validator(whole).validate(client.get(path).json())
