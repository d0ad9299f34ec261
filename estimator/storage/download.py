"""A bounded download by http or https."""

from __future__ import annotations

import http
import time
from collections.abc import Callable
from typing import Final

from estimator.errors import SourceUnavailableError
from estimator.storage.http_get import Bounds, get

TIMEOUT_SECONDS: Final = 10.0
"""For connecting and for each piece."""
MOST_SECONDS: Final = 60.0
"""For the whole."""


def download(url: str, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> bytes:
    """What is at the URL, of at most so many bytes; ``SourceUnavailableError`` says why nothing.

    ``DamagedError`` if there is more.
    """
    bounds = Bounds(most_bytes, TIMEOUT_SECONDS, MOST_SECONDS)
    answer = get(url, bounds, follow=True, clock=clock)
    if answer.status != http.HTTPStatus.OK:
        raise SourceUnavailableError(f"{url} answers {answer.status}")
    return answer.body
