from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from estimator.errors import SourceUnavailableError
from stream.sources import http


class Drops(httpx.SyncByteStream):
    """A body that comes in drops, each of which takes a second of the clock's."""

    def __init__(self, drops: int, size: int) -> None:
        self.drops = drops
        self.size = size
        self.now = 1000.0
        self.sent = 0

    def clock(self) -> float:
        return self.now

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.drops):
            self.now += 1
            self.sent += 1
            yield b"x" * self.size


def fetched(body: Drops) -> http.Page:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    with httpx.Client(transport=transport) as client:
        return http.fetch(client, "http://n1/metrics", "text/plain", 5.0, body.clock)


def test_the_whole_body_within_the_time() -> None:
    page = fetched(Drops(4, 3))
    assert page == http.Page("x" * 12, "", 1_002_000)


def test_a_body_that_trickles_is_given_up() -> None:
    body = Drops(1000, 1)
    with pytest.raises(SourceUnavailableError, match="http://n1/metrics did not answer in full"):
        fetched(body)
    assert body.sent == 6


def test_a_body_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 100)
    body = Drops(4, 60)
    with pytest.raises(SourceUnavailableError, match="more than 100 bytes"):
        fetched(body)
    assert body.sent == 2
