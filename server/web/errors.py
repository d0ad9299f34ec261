"""Every error as an HTTP answer: one JSON shape, made here and nowhere else.

``{"error": "one sentence that names the key and the value", "status": 400}``, and beside these two
keys what the error brings along (``missing`` of ``GET /readyz``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from estimator.errors import (
    NoModelError,
    NotFoundError,
    RequestError,
    StoreError,
    WattstreamError,
)

logger = logging.getLogger(__name__)

_SHOWN: Final = 200
"""Letters of a path that an error repeats."""

STATUS_CODES: Final[Mapping[type[WattstreamError], int]] = {
    RequestError: 400,
    NoModelError: 404,
    NotFoundError: 404,
    StoreError: 503,
}
"""The status of each error that a client may meet; any other is the server's own fault, 500."""


def error_response(
    status: int, sentence: str, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    r"""The answer that says in one sentence what is wrong.

    >>> error_response(404, "path is '/modle': there is nothing there").body
    b'{"error":"path is \'/modle\': there is nothing there","status":404}'
    """
    body = msgspec.json.encode({"error": sentence, "status": status, **more})
    return Response(body, status, headers, "application/json")


def exception_handlers() -> dict[Any, Callable[[Request, Exception], Any]]:
    """What Starlette needs to turn whatever is raised into such an answer."""
    return {HTTPException: _http, WattstreamError: _ours, Exception: _unforeseen}


async def _http(request: Request, error: Exception) -> Response:
    """Starlette's own: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for nothing else)
    path = request.scope["path"][:_SHOWN]  # Not by request.url, which believes the Host header.
    sentence = {
        404: f"path is {path!r}: there is nothing there",
        405: f"method is {request.method!r}: {path} does not take it",
    }.get(error.status_code, error.detail)
    return error_response(error.status_code, sentence, error.headers)


async def _ours(request: Request, error: Exception) -> Response:
    for kind in type(error).__mro__:
        if kind in STATUS_CODES:
            return error_response(STATUS_CODES[kind], str(error))
    logger.error("%s %s: %s", request.method, request.scope["path"], error)
    return error_response(500, str(error))


async def _unforeseen(_request: Request, _error: Exception) -> Response:
    """A fault of the program: the server logs it with its trace, the client learns no details."""
    return error_response(500, "the server has failed at this; its log says how")
