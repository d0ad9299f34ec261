"""Decoding of large bodies: what is wrong with one is said without decoding all of it."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from estimator.errors import RequestError

_SHOWN: Final = 80
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """What the body holds; ``RequestError`` names the key and the value that are wrong.

    >>> class Point(msgspec.Struct):
    ...     x: list[int]
    >>> decoded(msgspec.json.Decoder(Point), b'{"x":[1,"2"]}', "this")
    Traceback (most recent call last):
    estimator.errors.RequestError: x[1] is "2": Expected `int`, got `str`
    """
    if not len(body):
        raise RequestError(f"body is empty: {what} needs a JSON object")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RequestError(_explained(body, str(error), what)) from error
    except _UNREADABLE as error:
        raise RequestError(_why(body, error)) from error


def _explained(body: bytes, sentence: str, what: str) -> str:
    missing = re.search(r"missing required field `(\w+)`", sentence)
    reason, _, path = sentence.partition(" - at `$")
    path = path.rstrip("`")
    if missing:
        key = f"{path}.{missing[1]}".lstrip(".")
        return f"{key} is missing: {what} needs it"
    if not path:
        return f"body is {_shown(body)}: {reason}"
    return f"{path.lstrip('.')} is {_shown(_value_at(body, path))}: {reason}"


def _value_at(body: bytes, path: str) -> bytes:
    """The JSON text of the value there, or of the nearest one above it that can be found."""
    value: Any = body
    for key, place in _STEP.findall(path):
        try:
            if key:
                value = msgspec.json.decode(value, type=dict[str, msgspec.Raw])[key]
            else:
                value = msgspec.json.decode(value, type=list[msgspec.Raw])[int(place)]
        except (*_UNREADABLE, LookupError):
            break
    return bytes(memoryview(value)[: _SHOWN + 1])


def _why(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "body is nested too deep"
    return f"body is {_shown(body)}: {error}"


def one_line(text: str, most: int = 1000) -> str:
    r"""The text on one line and no longer than that, whatever of a stranger's it shows.

    >>> one_line("energy of \n only"), one_line("abcd", 2)
    ('energy of only', 'ab...')
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: most + 1]).split())
    return line if len(text) <= most else f"{line[:most]}..."


def _shown(data: bytes) -> str:
    text = one_line(bytes(memoryview(data)[:_SHOWN]).decode("utf-8", "replace"))
    return text if len(memoryview(data)) <= _SHOWN else f"{text}..."
