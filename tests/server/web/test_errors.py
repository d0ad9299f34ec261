from __future__ import annotations

import pytest

from estimator.errors import (
    DamagedError,
    NotFoundError,
    RequestError,
    StoreError,
    WattstreamError,
)
from tests.server.conftest import Serve
from tests.server.error_shape import assert_error
from tests.server.fakes import make_entry

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/modle", 404),
        ("GET", "/model", 405),
        ("POST", "/models", 405),
        ("DELETE", "/", 405),
        ("GET", "/pages/../app.py", 404),
        ("GET", "/pages/secret", 404),
        ("GET", "/models/", 404),
        ("POST", "/live", 405),
    ],
)
def test_what_is_not_there_is_an_error_of_our_shape(
    serve: Serve, method: str, path: str, status: int
) -> None:
    response = serve().request(method, path)
    assert_error(response, status, response.request.url.path if status == 404 else method)


@pytest.mark.parametrize("host", ["evil.example", "[", "a b", "x" * 5000, ""])
def test_the_host_header_is_never_believed(serve: Serve, host: str) -> None:
    client = serve(make_entry())
    for path, status in (("/", 200), ("/nothing", 404), ("/models/", 404), ("/model", 405)):
        response = client.get(path, headers={"host": host})
        assert response.status_code == status
        assert "location" not in response.headers
        assert "evil.example" not in response.text
    refused = client.post("/models/a/rollback", headers={"host": host, "sec-fetch-site": "none"})
    assert_error(refused, 403, "host")


def test_a_long_path_is_not_repeated(serve: Serve) -> None:
    answer = assert_error(serve().get("/" + "x" * 10_000), 404, "xxx")
    assert len(answer["error"]) < 300


def test_a_wrong_method_is_told_the_right_ones(serve: Serve) -> None:
    assert serve().get("/model").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError("source is 'x': unknown"), 400),
        (NotFoundError("artifact 00 is not there"), 404),
        (StoreError("store cannot be read"), 503),
        (DamagedError("artifact 00 is damaged"), 500),
        (WattstreamError("something else"), 500),
    ],
)
def test_an_error_of_ours_is_answered_with_its_sentence(
    serve: Serve, error: WattstreamError, status: int
) -> None:
    client = serve()
    client.models.failure = error
    assert_error(client.get(f"/artifacts/{DIGEST}"), status, str(error))


def test_a_fault_of_the_program_tells_no_details(serve: Serve) -> None:
    client = serve(make_entry())
    client.catalog.entries = ("not an entry",)  # type: ignore[assignment]  # a fault to provoke
    response = client.get("/models")
    assert_error(response, 500)
    assert "entry" not in response.text


def test_every_answer_forbids_what_we_did_not_mean(serve: Serve) -> None:
    client = serve()
    for path in ("/", "/healthz", "/nothing", "/readyz"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
