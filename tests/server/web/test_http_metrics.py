from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.web.errors import exception_handlers
from server.web.http_metrics import CountRequests, HttpMetrics
from tests.server.conftest import AsgiTransport, Serve
from tests.server.fakes import make_entry


class Ticks:
    """A clock that goes on by a quarter of a second each time that it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


async def _fine(_request: Request) -> Response:
    return Response(b"fine")


async def _wrong(_request: Request) -> Response:
    raise RuntimeError("a bug")


def _client(metrics: HttpMetrics) -> httpx.Client:
    routes = [
        Route("/things/{name}", _fine),
        *(Route(f"/files/{name}", _file) for name in ("a.css", "b.js")),
        Route("/wrong", _wrong),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(CountRequests, metrics=metrics, routes=routes)],
        exception_handlers=exception_handlers(),
    )
    return httpx.Client(transport=AsgiTransport(app), base_url="http://test")


async def _file(_request: Request) -> Response:
    return Response(b"a file")


def _requests(metrics: HttpMetrics) -> dict[tuple[str, str, str], float]:
    return {
        (one.labels["route"], one.labels["method"], one.labels["code"]): one.value
        for family in metrics.collect()
        for one in family.samples
        if one.name == "wattstream_http_requests_total"
    }


@pytest.fixture
def metrics() -> HttpMetrics:
    return HttpMetrics(Ticks())


def test_requests_are_counted_by_declared_route(metrics: HttpMetrics) -> None:
    with _client(metrics) as client:
        for name in ("one", "two", "three"):
            client.get(f"/things/{name}")
        client.head("/things/one")
        client.get("/files/a.css")
        client.get("/files/b.js")
    assert _requests(metrics) == {
        ("/things/{name}", "GET", "200"): 3,
        ("/things/{name}", "HEAD", "200"): 1,
        ("/files/*", "GET", "200"): 2,
    }


def test_refused_and_failed_requests_are_counted_with_what_was_answered(
    metrics: HttpMetrics,
) -> None:
    with _client(metrics) as client:
        assert client.get("/nothing").status_code == 404
        assert client.post("/things/one").status_code == 405
        assert client.get("/wrong").status_code == 500
    assert _requests(metrics) == {
        ("other", "GET", "404"): 1,
        ("/things/{name}", "POST", "405"): 1,
        ("/wrong", "GET", "500"): 1,
    }


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)))
def test_what_clients_make_up_makes_no_series(names: list[str]) -> None:
    metrics = HttpMetrics()
    with _client(metrics) as client:
        for name in names:
            client.request(name, f"/{name}")
    assert {route for route, _, _ in _requests(metrics)} <= {"other", "/wrong"}
    assert {method for _, method, _ in _requests(metrics)} <= {
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        "other",
    }


def test_how_long_it_takes_is_a_histogram_of_each_route(metrics: HttpMetrics) -> None:
    with _client(metrics) as client:
        client.get("/things/one")
    found = {
        (one.name.removeprefix("wattstream_http_request_duration_seconds"), one.labels.get("le")): (
            one.value
        )
        for family in metrics.collect()
        for one in family.samples
        if one.name.startswith("wattstream_http_request_duration_seconds")
    }
    assert found["_bucket", "0.1"] == 0
    assert found["_bucket", "0.25"] == 1
    assert found["_bucket", "+Inf"] == 1
    assert found["_count", None] == 1
    assert found["_sum", None] == 0.25
    assert not [name for name, _ in found if "created" in name]


def test_an_answer_that_goes_on_is_counted_when_it_begins(metrics: HttpMetrics) -> None:
    counted: list[float] = []

    async def endless(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        counted.append(sum(_requests(metrics).values()))
        await send({"type": "http.response.body", "body": b"more", "more_body": True})  # type: ignore[operator]
        raise ConnectionResetError

    async def nothing(*_: object) -> None:
        pass

    app = CountRequests(endless, metrics, [])
    scope = {"type": "http", "method": "GET", "path": "/live"}
    with pytest.raises(ConnectionResetError):
        asyncio.run(app(scope, nothing, nothing))  # type: ignore[arg-type]
    assert counted == [1]
    assert _requests(metrics) == {("other", "GET", "200"): 1}


def test_the_server_counts_its_own(serve: Serve) -> None:
    client = serve(make_entry())
    client.get("/models")
    client.get("/pages/page.css")
    text = client.get("/metrics").text
    assert 'requests_total{code="200",method="GET",route="/models"} 1.0' in text
    assert 'requests_total{code="200",method="GET",route="/pages/*"} 1.0' in text
