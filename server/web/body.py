"""Reading a request's body, so much and no more."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

BODY_LIMIT: Final = 1 << 20
"""Bytes that a request for a model may have: its metrics are a few hundred."""


async def read_body(scope: Scope, receive: Receive, limit: int = BODY_LIMIT) -> bytes:
    """The request's whole body; an answer 413 if it is longer than ``limit`` bytes.

    What a client announces as too long is refused before it is sent.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            _check(int(value[:20]), limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
        size += len(chunks[-1])
        _check(size, limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check(size: int, limit: int) -> None:
    if size > limit:
        # The rest is not read: the connection cannot be used again.
        sentence = f"body has at least {size} bytes, {limit} are the limit"
        raise HTTPException(413, sentence, {"connection": "close"})
