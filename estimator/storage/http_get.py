"""GET by http or https, within a size and a time."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import IO, Final, NamedTuple

from estimator.errors import DamagedError, SourceUnavailableError

_PIECE: Final = 256 << 10


class Bounds(NamedTuple):
    """What an answer may take: ``piece_seconds`` for connecting and for each piece of it."""

    most_bytes: int
    piece_seconds: float
    seconds: float


class Answer(NamedTuple):
    """Whatever its status is; the body of an error may be left out."""

    status: int
    headers: Message
    body: bytes


def get(
    url: str,
    bounds: Bounds,
    headers: Mapping[str, str] | None = None,
    *,
    follow: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """What the URL answers; ``SourceUnavailableError`` says why nothing.

    ``DamagedError`` if it is too much. Only with ``follow`` does it go where a server sends us on
    to, by http and https, and through the environment's proxies.
    """
    until = clock() + bounds.seconds
    opener = _FOLLOWING if follow else _DIRECT
    try:
        request = urllib.request.Request(  # noqa: S310 - the openers know nothing else
            url, headers={"User-Agent": "wattstream", **(headers or {})}
        )
        with opener.open(request, timeout=bounds.piece_seconds) as response:
            body = bytearray()
            while piece := response.read1(_PIECE):
                body += piece
                if len(body) > bounds.most_bytes:
                    raise DamagedError(f"{url}: more than {bounds.most_bytes} bytes")
                if clock() > until:
                    raise ValueError(f"not read whole within {bounds.seconds:g} s")
            return Answer(response.status, response.headers, bytes(body))
    except urllib.error.HTTPError as error:
        error.close()
        return Answer(error.code, error.headers, b"")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceUnavailableError(f"{url}: {_reason(error, bounds)}") from error


def _reason(error: BaseException, bounds: Bounds) -> str:
    if isinstance(error, urllib.error.URLError):
        return str(error.reason) if isinstance(error.reason, str) else _reason(error.reason, bounds)
    if isinstance(error, TimeoutError):
        return f"no answer within {bounds.piece_seconds:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Goes on without reading what a redirect says beside: urllib would, however long it is."""

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> object:
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(*more: type[urllib.request.BaseHandler]) -> urllib.request.OpenerDirector:
    """Nothing but http and https: urllib's own would open files, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.UnknownHandler,
        *more,
    ):
        opener.add_handler(handler())
    return opener


_DIRECT: Final = _opener()
_FOLLOWING: Final = _opener(
    urllib.request.ProxyHandler,
    urllib.request.HTTPDefaultErrorHandler,
    _Redirects,
    urllib.request.HTTPErrorProcessor,
)
