"""The estimator's reader of models, on the real model server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from estimator.choosing.catalog import Catalog
from estimator.errors import NotFoundError, StoreError
from estimator.storage.model_store import ModelStore
from estimator.storage.remote_models import RemoteModels
from estimator.storage.store import InMemoryStore
from server.app import make_app
from server.web.http_server import HttpServer
from tests.estimator.artifacts.made import made_artifact


@pytest.fixture
def models() -> ModelStore:
    return ModelStore(InMemoryStore())


@pytest.fixture
def server(models: ModelStore) -> Iterator[HttpServer]:
    app = make_app(Catalog(models), models, refresh_seconds=0.01)
    with HttpServer(app, "127.0.0.1", 0) as server:
        yield server


def eventually(catalog: Catalog, count: int) -> bool:
    return any(catalog.refresh() is None or len(catalog.entries) == count for _ in range(5000))


def test_models_come_over_http(models: ModelStore, server: HttpServer) -> None:
    names = {models.publish(made_artifact(group=group)) for group in ("BPFOnly", "Basic")}
    catalog = Catalog(RemoteModels(server.url))
    assert eventually(catalog, 2)
    assert {entry.digest for entry in catalog.entries} == names
    assert not catalog.refresh()
    for entry in catalog.entries:
        assert models.artifact(entry.digest).manifest == entry.manifest
        assert entry.number == models.number(entry.manifest.key.node_type)


def test_what_is_not_there(server: HttpServer) -> None:
    models = RemoteModels(server.url)
    with pytest.raises(NotFoundError):
        models.artifact("0" * 64)
    with pytest.raises(StoreError, match="answers 404"):
        RemoteModels(f"{server.url}/no/such/place").indexes()
