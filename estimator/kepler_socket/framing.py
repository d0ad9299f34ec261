"""Where one JSON document ends and the next begins, in bytes that come in pieces."""

from __future__ import annotations

import re
from typing import Final

from estimator.errors import RequestError

MOST_DEPTH: Final = 64
"""Objects within objects beyond this are noise: a power request has a depth of 1."""

_BLANKS: Final = b" \t\r\n"
_BLANK: Final = re.compile(rb"[ \t\r\n]*")
_QUOTE, _BACKSLASH, _OPEN = b'"', 0x5C, 0x7B


class TooLongError(RequestError):
    """A request is longer than requests may be."""


class Framer:
    """Cuts a stream of bytes into JSON objects, wherever it is split; every byte is read once.

    Only braces outside strings count, whole runs of them at C speed. Whether what lies between is
    valid JSON is the decoder's business.

    >>> framer = Framer(most_bytes=1000)
    >>> framer.feed(b'{"a": "}"}' + b'{"b"')
    >>> framer.take(), framer.take()
    (b'{"a": "}"}', None)
    >>> framer.feed(b': 1}')
    >>> framer.take()
    b'{"b": 1}'
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._whole: bytes | None = None
        self._data = bytearray()
        self._forget()

    def _forget(self) -> None:
        self._scanned, self._depth, self._string = 0, 0, -1

    @property
    def pending(self) -> int:
        """How many bytes wait here."""
        return len(self._data) + (len(self._whole) if self._whole else 0)

    def feed(self, chunk: bytes) -> None:
        """Add what has come in."""
        if not self._data and self._whole is None:
            stripped = chunk.strip(_BLANKS)
            if is_one_object(stripped) and len(stripped) <= self._most_bytes:
                self._whole = stripped
                return
        if self._whole is not None:
            self._data += self._whole
            self._whole = None
        self._data += chunk

    def take(self) -> bytes | None:
        """The next whole object, or None until more comes in.

        ``RequestError`` if what is there can never become one, or is too long.
        """
        if self._whole is not None:
            whole, self._whole = self._whole, None
            return whole
        data = self._data
        if not data or not self._begun():
            return None
        end = self._end()
        if (end or len(data)) > self._most_bytes:
            raise TooLongError(f"request: more than {self._most_bytes} bytes")
        if end is None:
            return None
        with memoryview(data) as view:
            document = bytes(view[:end])
        del data[:end]
        self._forget()
        return document

    def _begun(self) -> bool:
        """Whether an object has begun, after dropping the blanks before it."""
        data = self._data
        if self._scanned:
            return True
        blank = _BLANK.match(data)
        if blank is not None and blank.end():
            end = blank.end()
            del blank, data[:end]
        if data and data[0] != _OPEN:
            raise RequestError(f"request: begins with {bytes(data[:20])!r}, not with an object")
        return bool(data)

    def _end(self) -> int | None:
        """Where the object ends, reading on from where the last call stopped."""
        data = self._data
        while True:
            if self._string >= 0 and not self._leave_string():
                return None
            quote = data.find(_QUOTE, self._scanned)
            end = self._walk(len(data) if quote < 0 else quote)
            if end is not None or quote < 0:
                return end
            self._string = self._scanned = quote + 1

    def _leave_string(self) -> bool:
        """Go on behind the string that begins at ``_string``, if its end is there."""
        data = self._data
        while (quote := data.find(_QUOTE, self._scanned)) >= 0:
            self._scanned = quote + 1
            first = quote
            while first > self._string and data[first - 1] == _BACKSLASH:
                first -= 1
            if (quote - first) % 2 == 0:
                self._string = -1
                return True
        self._scanned = len(data)
        return False

    def _walk(self, limit: int) -> int | None:
        """Count braces up to ``limit``, where there are no strings; the object's end if there."""
        data, at = self._data, self._scanned
        while (close := data.find(b"}", at, limit)) >= 0:
            self._deepen(data.count(b"{", at, close))
            self._depth -= 1
            at = close + 1
            if self._depth == 0:
                return at
        self._deepen(data.count(b"{", at, limit))
        self._scanned = limit
        return None

    def _deepen(self, by: int) -> None:
        self._depth += by
        if self._depth > MOST_DEPTH:
            raise RequestError(f"request: objects nested more than {MOST_DEPTH} deep")


def is_one_object(chunk: bytes) -> bool:
    """Whether the bytes are surely one flat object, as Kepler's requests are.

    >>> [is_one_object(chunk) for chunk in (b'{"a":1}', b'{"a":"}', b'{}{}', b'{"a":{}}')]
    [True, False, False, False]
    """
    return (
        chunk.startswith(b"{")
        and chunk.find(b"}") == len(chunk) - 1
        and chunk.find(b"{", 1) < 0
        and b"\\" not in chunk
        and chunk.count(_QUOTE) % 2 == 0
    )
