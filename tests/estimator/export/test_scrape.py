"""What comes from a port that is not Kepler's, or not quite, is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from estimator.errors import MisuseError, SourceUnavailableError
from estimator.export import scrape
from estimator.export.scrape import KeplerScrape
from tests.estimator.export.host import Answering, Host, answering


@pytest.fixture
def kepler() -> Iterator[Answering]:
    with answering() as said:
        said.text = Host().page()
        yield said


def test_a_page_is_fetched_again_and_again(kepler: Answering) -> None:
    source = KeplerScrape(kepler.url.removeprefix("http://"))
    assert [source.fetch().text() for _ in range(2)] == [kepler.text] * 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 500}, "answers 500"),
        ({"kind": "text/html"}, "sent text/html"),
        ({"kind": "application/openmetrics-text; version=1.0.0"}, "text/plain is needed"),
        ({"text": "<!doctype html>"}, "no page of metrics: no sample: '<!doctype html>'"),
        ({"text": "x" * 200}, "more than 100 bytes"),
    ],
)
def test_what_is_wrong_is_said_with_the_url(
    kepler: Answering, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], reason: str
) -> None:
    monkeypatch.setattr(scrape, "MOST_BYTES", 100)
    kepler.text = "a 1\n"
    for name, value in change.items():
        setattr(kepler, name, value)
    with pytest.raises(SourceUnavailableError, match=reason) as caught:
        KeplerScrape(kepler.url).fetch()
    assert str(caught.value).startswith(f"{kepler.url}/metrics")


def test_a_page_that_takes_too_long_is_given_up(kepler: Answering) -> None:
    moments = iter((0.0, 9.0))
    with pytest.raises(SourceUnavailableError, match="not read whole within 4 s"):
        KeplerScrape(kepler.url, clock=lambda: next(moments)).fetch()


def test_nobody_there_is_said() -> None:
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:1/metrics: .*refused"):
        KeplerScrape("127.0.0.1:1").fetch()


@pytest.mark.parametrize("url", ["https://a", "http://", "file:///x", "http://a:b"])
def test_what_is_no_url_of_a_kepler_is_misuse(url: str) -> None:
    with pytest.raises(MisuseError, match="export_kepler is "):
        KeplerScrape(url)
