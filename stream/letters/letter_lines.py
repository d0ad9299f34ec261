"""Dead letters as lines of JSON, for programs that repair them, and the repaired lines."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

import msgspec

from estimator.errors import MisuseError
from stream.letters.dead_letter_box import Letter
from stream.letters.dead_letters import reason_kind


def letter_line(letter: Letter) -> dict[str, Any]:
    """The letter as one JSON object; ``value_base64`` stands for a value that is no UTF-8."""
    dead = letter.dead
    line = {
        "letter": letter.name,
        "kind": reason_kind(dead.reason),
        "reason": dead.reason,
        "topic": dead.topic,
        "partition": dead.partition,
        "offset": dead.offset,
        "appended_ms": dead.appended_ms,
        "key": dead.key,
        **_value(dead.value),
    }
    if dead.headers:
        line["headers"] = {name: text.decode(errors="replace") for name, text in dead.headers}
    if dead.truncated:
        line["truncated"] = dead.truncated
    if letter.redriven:
        line["redriven"] = True
    return line


class _Repaired(msgspec.Struct):
    letter: str
    value: str | dict[str, Any] | None = None
    value_base64: str | None = None


def read_repaired(lines: Iterable[bytes], origin: str) -> dict[str, bytes]:
    """The values by the names of their letters; ``MisuseError`` names the line that is wrong.

    The value is text, as it was shown, or a record as a JSON object.
    """
    decoder = msgspec.json.Decoder(_Repaired)
    found: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            repaired = decoder.decode(line)
            value = _bytes(repaired)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise MisuseError(f"{origin}, line {number}: {error}") from error
        if repaired.letter in found:
            raise MisuseError(f"{origin}, line {number}: letter {repaired.letter} is there twice")
        found[repaired.letter] = value
    return found


def _value(value: bytes) -> dict[str, str]:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": b64encode(value).decode()}


def _bytes(repaired: _Repaired) -> bytes:
    if isinstance(repaired.value, str):
        return repaired.value.encode()
    if repaired.value is not None:
        return msgspec.json.encode(repaired.value)
    if repaired.value_base64 is None:
        raise ValueError("value is missing")
    try:
        return b64decode(repaired.value_base64, validate=True)
    except binascii.Error as error:
        raise ValueError(f"value_base64: {error}") from error
