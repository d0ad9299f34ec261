"""A bounded download by http or https."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

from estimator.errors import DamagedError, SourceUnavailableError

TIMEOUT_SECONDS: Final = 10.0
"""For connecting and for each piece."""
MOST_SECONDS: Final = 60.0
"""For the whole."""

_PIECE: Final = 256 << 10


def download(url: str, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> bytes:
    """What is at the URL, of at most so many bytes; ``SourceUnavailableError`` says why nothing.

    ``DamagedError`` if there is more.
    """
    until, body = clock() + MOST_SECONDS, bytearray()
    request = urllib.request.Request(  # noqa: S310 - only http and https come here
        url, headers={"Accept-Encoding": "identity", "User-Agent": "wattstream"}
    )
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            while piece := response.read1(_PIECE):
                body += piece
                if len(body) > most_bytes:
                    raise DamagedError(f"{url}: more than {most_bytes} bytes")
                if clock() > until:
                    raise SourceUnavailableError(f"{url}: not read whole in {MOST_SECONDS:g} s")
    except urllib.error.HTTPError as error:
        with error:
            raise SourceUnavailableError(f"{url} answers {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceUnavailableError(f"{url}: {reason}") from error
    return bytes(body)


def _only_http() -> urllib.request.OpenerDirector:
    """Nothing but http and https, wherever a server may send us on to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


_OPENER: Final = _only_http()
