from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import httpx
import pytest

from estimator.errors import MisuseError, SourceUnavailableError, WattstreamError
from stream.analysis.prometheus_api import Prometheus, TooMuchError

Handler = Callable[[httpx.Request], httpx.Response]


def asked(handler: Handler, slept: list[float] | None = None, token: str = "") -> Prometheus:
    sleep = (lambda _seconds: None) if slept is None else slept.append
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return Prometheus("prom:9090", token, client=client, sleep=sleep)


def error(status: int, kind: str, text: str) -> httpx.Response:
    return httpx.Response(status, json={"status": "error", "errorType": kind, "error": text})


def matrix(result: object = (), kind: str = "matrix", **more: object) -> httpx.Response:
    data = {"resultType": kind, "result": result}
    return httpx.Response(200, json={"status": "success", "data": data, **more})


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries"),
        error(422, "execution", "query processing would load too many samples into memory"),
        error(503, "timeout", "query timed out in expression evaluation"),
        httpx.Response(413, text="Request Entity Too Large"),
    ],
    ids=["resolution", "samples", "timeout", "proxy"],
)
def test_what_may_be_too_much_is_told_apart_and_not_repeated(refusal: httpx.Response) -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(refusal.status_code, content=refusal.content)

    with pytest.raises(TooMuchError, match="http://prom:9090 refused: "):
        asked(handler).stepped("a", 0, 10_000, 1.0)
    assert len(calls) == 1


def test_a_server_that_does_not_answer_in_time_was_asked_too_much() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    with pytest.raises(TooMuchError, match="did not answer within 120 s"):
        asked(handler).scraped("a", 0, 1000)


def test_outages_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    answers: Iterator[httpx.Response] = iter(
        [httpx.Response(502), httpx.Response(429), error(500, "internal", "oops"), matrix()]
    )
    slept: list[float] = []
    with caplog.at_level(logging.WARNING):
        assert asked(lambda _: next(answers), slept).scraped("a", 0, 1000) == []
    assert slept == [1, 2, 4]
    assert "refused: 502 Bad Gateway; asking again in 1 s" in caplog.text


def test_outages_are_not_waited_for_for_ever() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    slept: list[float] = []
    with pytest.raises(SourceUnavailableError, match="http://prom:9090: Connection refused"):
        asked(handler, slept).names("kepler_.+")
    assert slept == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(401), WattstreamError, "refused: 401 Unauthorized"),
        (httpx.Response(404, text="nothing"), WattstreamError, "refused: 404 Not Found"),
        (
            httpx.Response(200, html="<html>"),
            MisuseError,
            "is no Prometheus: it answered with text",
        ),
        (matrix([], kind="vector"), WattstreamError, "answered with a vector, no matrix"),
        (matrix([{"metric": 1}]), WattstreamError, "answered what cannot be read: Expected"),
    ],
    ids=["password", "path", "page", "vector", "nonsense"],
)
def test_what_is_no_answer_is_said_at_once(
    answer: httpx.Response, kind: type[Exception], said: str
) -> None:
    slept: list[float] = []
    with pytest.raises(kind, match=said):
        asked(lambda _: answer, slept).scraped("a", 0, 1000)
    assert slept == []


def test_a_warning_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    prometheus = asked(lambda _: matrix(warnings=["a store is away"]))
    with caplog.at_level(logging.WARNING):
        prometheus.scraped("a", 0, 1000)
        prometheus.scraped("a", 1000, 2000)
    assert caplog.text.count("http://prom:9090 warns: a store is away") == 1


def test_the_token_goes_along_and_is_not_shown() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        return httpx.Response(403)

    with pytest.raises(WattstreamError) as refused:
        asked(handler, token="secret").names("a")
    assert "secret" not in str(refused.value)


def test_a_name_and_a_password_in_the_url_are_used_and_not_shown() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"].startswith("Basic ")
        assert request.url.path == "/thanos/api/v1/query"
        return matrix()

    client = httpx.Client(transport=httpx.MockTransport(handler))
    prometheus = Prometheus("https://me:secret@prom/thanos/", client=client)
    prometheus.scraped("a", 0, 1000)
    assert prometheus.shown == "https://prom/thanos"


def test_no_url() -> None:
    with pytest.raises(MisuseError, match="'ftp://prom' is no URL"):
        Prometheus("ftp://prom")
