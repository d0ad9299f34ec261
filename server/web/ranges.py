"""Answers of which a client may ask for a part: to go on with a download that broke off."""

from __future__ import annotations

import re
from typing import Final

from starlette.types import Receive, Scope, Send

from server.web.conditional import Answer, has_already
from server.web.errors import error_response

_ONE_RANGE: Final = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")


class RangedAnswer(Answer):
    """An `Answer` that heeds Range and If-Range: 206 with the part, 416 if there is no such part.

    As RFC 9110 (14.2) allows, several ranges at once and what is no range are not heeded.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, a part of it, or say that it has not changed."""
        wanted = self._wanted(scope)
        if wanted is None:
            await super().__call__(scope, receive, send)
            return
        size = len(self.body)
        if wanted.start >= wanted.stop:
            sentence = f"range is none of these {size} bytes"
            refused = error_response(416, sentence, {"content-range": f"bytes */{size}"})
            await refused(scope, receive, send)
            return
        part = self.body[wanted.start : wanted.stop]
        shown = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
        headers = [
            *(pair for pair in self.raw_headers if pair[0] != b"content-length"),
            (b"content-range", shown.encode()),
            (b"content-length", str(len(part)).encode()),
        ]
        await send({"type": "http.response.start", "status": 206, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(part)})

    def _wanted(self, scope: Scope) -> range | None:
        """The bytes that are asked for; None for all of them."""
        given = dict(scope["headers"])
        found = _ONE_RANGE.fullmatch(given.get(b"range", b"").strip())
        if scope["method"] != "GET" or found is None or has_already(scope, self._tag):
            return None
        if given.get(b"if-range", f'"{self._tag}"'.encode()) != f'"{self._tag}"'.encode():
            return None
        first, last = found.groups()
        size = len(self.body)
        if not first:  # The last so many bytes.
            return range(max(0, size - int(last)), size) if last else None
        if last and int(last) < int(first):
            return None
        return range(int(first), min(size, int(last) + 1 if last else size))
