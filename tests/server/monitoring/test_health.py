from __future__ import annotations

from server.monitoring.status import Status
from tests.server.conftest import Serve
from tests.server.error_shape import assert_error
from tests.server.fakes import FakeProvider, make_entry


def test_a_server_lives_whatever_it_has(serve: Serve) -> None:
    assert serve().get("/healthz").json() == {"status": "ok"}


def test_with_a_model_it_is_ready(serve: Serve) -> None:
    response = serve(make_entry()).get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "models": 1})


def test_without_a_model_it_says_what_is_missing(serve: Serve) -> None:
    client = serve()
    answer = assert_error(client.get("/readyz"), 503, "no model to serve")
    assert answer["missing"] == ["no model to serve: none has been published yet"]
    client.catalog.last_error = "store file:///gone cannot be read"
    assert_error(client.get("/readyz"), 503, "store file:///gone cannot be read")


def test_the_other_parts_must_be_ready_too(serve: Serve) -> None:
    provider = FakeProvider(Status(missing=("the learner has no checkpoint", "no source is up")))
    client = serve(make_entry(), provider=provider)
    answer = assert_error(client.get("/readyz"), 503, "the learner has no checkpoint")
    assert answer["missing"] == ["the learner has no checkpoint", "no source is up"]
    provider.now = Status()
    assert client.get("/readyz").status_code == 200


def test_a_store_that_fails_later_leaves_it_ready(serve: Serve) -> None:
    client = serve(make_entry())
    client.catalog.last_error = "store file:///gone cannot be read"
    assert client.get("/readyz").status_code == 200
