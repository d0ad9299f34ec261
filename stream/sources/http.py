"""One page over HTTP, within a time and a size, or the reason why not in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import httpx

from estimator.errors import MisuseError, SourceUnavailableError

MAX_BYTES: Final = 64 * 2**20
"""No exporter's page is that large; whatever sends more is none."""


class Page(NamedTuple):
    """What came: the text, the type the server gave it, the middle of the request in Unix ms."""

    text: str
    content_type: str
    at: int


def page_url(address: str, path: str = "/metrics") -> str:
    """The URL that an address means: HTTP unless it says otherwise, and that path if it has none.

    >>> page_url("node-7:9102"), page_url("https://node-7/kepler")
    ('http://node-7:9102/metrics', 'https://node-7/kepler')
    """
    try:
        url = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL as error:
        raise MisuseError(f"{address!r} is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise MisuseError(f"{address!r} is no URL: http://HOST[:PORT][/PATH] is needed")
    return str(url if url.path not in ("", "/") else url.copy_with(path=path))


def shown_url(url: str) -> str:
    """The URL as logs may show it: without a user's name and password.

    >>> shown_url("http://me:secret@node-7:9102/metrics")
    'http://node-7:9102/metrics'
    """
    return str(httpx.URL(url).copy_with(userinfo=b""))


def fetch(
    client: httpx.Client,
    url: str,
    accept: str,
    timeout_seconds: float,
    clock: Callable[[], float],
) -> Page:
    """Fetch the page; ``SourceUnavailableError`` names the URL and what came instead of it.

    The timeout holds for each wait and, by the clock, for the body as a whole, so that a server
    that sends a byte now and then cannot keep the caller.
    """
    shown = shown_url(url)
    started = clock()
    headers = {"Accept": accept}
    try:
        with client.stream("GET", url, headers=headers, timeout=timeout_seconds) as response:
            if response.status_code != httpx.codes.OK:
                raise SourceUnavailableError(
                    f"{shown} answered {response.status_code} {response.reason_phrase}".rstrip()
                )
            body = _read(response, shown, timeout_seconds, started, clock)
            content_type = response.headers.get("Content-Type", "")
    except httpx.TimeoutException as error:
        raise SourceUnavailableError(_slow(shown, timeout_seconds)) from error
    except httpx.HTTPError as error:
        raise SourceUnavailableError(f"{shown}: {error or type(error).__name__}") from error
    middle_ms = round((started + clock()) / 2 * 1000)
    return Page(body.decode("utf-8", errors="replace"), content_type, middle_ms)


def _read(
    response: httpx.Response,
    shown: str,
    timeout_seconds: float,
    started: float,
    clock: Callable[[], float],
) -> bytearray:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise SourceUnavailableError(f"{shown} sent more than {MAX_BYTES} bytes")
        if clock() - started > timeout_seconds:
            raise SourceUnavailableError(_slow(shown, timeout_seconds))
    return body


def _slow(shown: str, timeout_seconds: float) -> str:
    return f"{shown} did not answer in full within {timeout_seconds:g} s"
