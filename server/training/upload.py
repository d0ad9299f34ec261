"""A request's body on its way to a file: of any size, compressed or not, and never in memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from server.training.unpacking import take_out

SILENT_SECONDS: Final = 30.0
"""A client that sends nothing for so long is hung up on."""
SLOWEST: Final = 64 << 10
"""So is one whose body comes at fewer bytes a second, after the first ``SILENT_SECONDS``."""
_AT_ONCE: Final = 1 << 20
_GZIP: Final = 16 + zlib.MAX_WBITS
_CLOSE: Final = {"connection": "close"}


async def receive_body(
    request: Request, path: Path, limit: int, silent_seconds: float = SILENT_SECONDS
) -> None:
    """Write the body into the file, decompressed; at most ``limit`` bytes of it.

    It may come with ``Content-Encoding: gzip``, or be a zip of one file
    (``Content-Type: application/zip``). Errors are answers: 400, 408, 413, 415.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        known = {**_CLOSE, "accept-encoding": "gzip"}
        sentence = f"content-encoding is {encoding[:80]!r}: known are gzip, identity"
        raise HTTPException(415, sentence, known)
    length = request.headers.get("content-length", "")
    if length.isdigit():
        _check(int(length[:20]), limit)
    with path.open("wb") as file:
        sink = _Inflated(file, limit) if "gzip" in encoding else _Plain(file, limit)
        async for data in _pieces(request, silent_seconds):
            await run_in_threadpool(sink.write, data)
        sink.end()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/zip", "application/x-zip-compressed"):
        await run_in_threadpool(take_out, path, limit)


async def _pieces(request: Request, silent_seconds: float) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a write each."""
    piece, more, size, now = bytearray(), True, 0, asyncio.get_running_loop().time
    began = now()
    while more:
        left = began + silent_seconds + size / SLOWEST - now()
        try:
            message = await asyncio.wait_for(request.receive(), min(silent_seconds, left))
        except TimeoutError:
            sentence = (
                f"{size} bytes have come in {now() - began:.1f} s, and the body has not ended"
            )
            raise HTTPException(408, sentence, _CLOSE) from None
        if message["type"] != "http.request":
            raise ClientDisconnect
        piece += message.get("body", b"")
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if len(piece) >= _AT_ONCE or not more:
            yield bytes(piece)
            piece.clear()


class _Plain:
    """Writes what comes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit = file, limit
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        _check(self._size, self._limit)
        self._file.write(data)

    def end(self) -> None:
        """Nothing is left over."""


class _Inflated(_Plain):
    """Writes what comes decompressed, a piece at a time: a small body may hold endless zeros."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        super().__init__(file, limit)
        self._inflate = zlib.decompressobj(_GZIP)

    def write(self, data: bytes) -> None:
        while data:
            if self._inflate.eof:  # one gzip may follow another
                self._inflate = zlib.decompressobj(_GZIP)
            try:
                super().write(self._inflate.decompress(data, _AT_ONCE))
            except zlib.error as error:
                raise HTTPException(400, f"body is no gzip: {error}", _CLOSE) from error
            data = self._inflate.unconsumed_tail or self._inflate.unused_data

    def end(self) -> None:
        if not self._inflate.eof:
            raise HTTPException(400, "body is no whole gzip: its end is missing", _CLOSE)


def _check(size: int, limit: int) -> None:
    if size > limit:
        sentence = f"body has at least {size} bytes, {limit} are the limit"
        raise HTTPException(413, sentence, _CLOSE)
