"""Answers that know whether the client has them already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_SENT_WITH_304: Final = (b"etag", b"cache-control", b"content-location")


def has_already(scope: Scope, tag: str) -> bool:
    """Whether the request says, by If-None-Match, that the client has what the tag stands for."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            # Tags compare weakly here (RFC 9110, 13.1.2): a W/ before the tag changes nothing.
            given = [one.strip().removeprefix(b"W/") for one in value.split(b",")]
            return f'"{tag}"'.encode() in given or given == [b"*"]
    return False


class Answer(Response):
    """A finished answer, sent as often as it is asked for; 304 to those who have it.

    The tag is strong: it must stand for exactly these bytes.
    """

    def __init__(
        self, body: bytes, media_type: str, tag: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(body, 200, {"etag": f'"{tag}"', **(headers or {})}, media_type)
        kept = [pair for pair in self.raw_headers if pair[0] in _SENT_WITH_304]
        self._tag = tag
        self._start = {
            "type": "http.response.start",
            "status": 200,
            "headers": self.raw_headers,
        }
        self._not_modified = {"type": "http.response.start", "status": 304, "headers": kept}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it, or say that it has not changed."""
        known = has_already(scope, self._tag)
        await send(self._not_modified if known else self._start)
        body = b"" if known or scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})
