"""Where records go that cannot be read: their own bytes, and beside them why and from where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final

import msgspec

from estimator.errors import RecordError
from stream.log.protocol import Log, Message, Outgoing
from stream.records import DEAD_TOPIC

MOST_BYTES: Final = 1_000_000
"""Of a longer value only so much is kept: a letter must fit into any log, or the learner stops."""
MOST_HEADER_BYTES: Final = 16_000
"""Of a record's headers the first ones are kept, up to so much."""
MOST_TEXT: Final = 2_000
"""Characters of a reason and of a key that are kept: both may hold what somebody sent us."""

_HEADERS: Final = ("reason", "topic", "partition", "offset", "appended_ms")
_TRUNCATED: Final = "truncated"

REASON_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "version": ("v is ",),
    "future": ("at is ",),
    "not-json": ("JSON is malformed", "Input data was truncated", "'utf-8' codec", "nesting"),
    "missing-field": ("Object missing required field", "interval is missing"),
    "wrong-type": ("Expected `",),
    "out-of-range": ("Number out of range", "Integer value out of range", "Invalid enum value"),
    "inconsistent": ("workloads.", "exactly one of ", "zone", "watts"),
}
"""How reasons begin, by the few kinds under which they are counted; the rest is "other"."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be read: why, where it was, and its original key and bytes."""

    reason: str
    topic: str
    partition: int
    offset: int
    appended_ms: int
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    """The original ones."""
    truncated: str = ""
    """If not all of the record was kept: what is missing. It cannot be read as it is then."""


class DeadLetters:
    """Sets records aside in ``wattstream.dead`` and counts them. Safe to share between threads.

    The topic must exist. ``LogUnavailableError`` passes through, and nothing is counted then:
    whoever sends must not go on as if the record had been set aside.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._counts: Counter[str] = Counter()
        self._counting = Lock()

    @property
    def counts(self) -> dict[str, int]:
        """How many have been set aside here, by kind of reason."""
        with self._counting:
            return dict(self._counts)

    def send(self, message: Message, reason: str) -> None:
        """Set one record aside, durably, before returning."""
        self.send_many([(message, reason)])

    def send_many(self, letters: Iterable[tuple[Message, str]]) -> None:
        """Set records aside, each with its reason: all of them, durably, before returning."""
        letters = list(letters)
        if not letters:
            return
        self._log.append_many(DEAD_TOPIC, [_outgoing(*letter) for letter in letters])
        with self._counting:
            self._counts.update(reason_kind(reason) for _, reason in letters)


def reason_kind(reason: str) -> str:
    """The kind under which a reason is counted.

    >>> reason_kind("v is 7: this release reads version 1"), reason_kind("it smells")
    ('version', 'other')
    """
    for kind, beginnings in REASON_KINDS.items():
        if reason.startswith(beginnings):
            return kind
    return "other"


def describe(message: Message) -> DeadLetter:
    """Read a message of the dead-letter topic; ``RecordError`` if it is not a dead letter."""
    # A dead letter's own headers come first, the original ones after them.
    headers = dict(reversed(message.headers))
    own, truncated = len(_HEADERS), ""
    for name, text in message.headers[own : own + 1]:
        if name == _TRUNCATED:
            own, truncated = own + 1, text.decode(errors="replace")
    try:
        return DeadLetter(
            reason=headers["reason"].decode(),
            topic=headers["topic"].decode(),
            partition=int(headers["partition"]),
            offset=int(headers["offset"]),
            appended_ms=int(headers["appended_ms"]),
            key=message.key,
            value=message.value,
            headers=message.headers[own:],
            truncated=truncated,
        )
    except KeyError as error:
        raise RecordError(f"not a dead letter: header {error} is missing") from error
    except ValueError as error:
        raise RecordError(f"not a dead letter: {error}") from error


def _outgoing(message: Message, reason: str) -> Outgoing:
    key, value, headers, missing = _cut(message)
    added = {
        "reason": reason[:MOST_TEXT],
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
        "appended_ms": str(message.appended_ms),
    }
    # Always there if the record's own headers begin like that: nobody shall mistake one for it.
    if missing or (headers and headers[0][0] == _TRUNCATED):
        added[_TRUNCATED] = missing
    own = tuple((name, text.encode(errors="replace")) for name, text in added.items())
    return Outgoing(key, value, own + headers)


def _cut(message: Message) -> tuple[str, bytes, tuple[tuple[str, bytes], ...], str]:
    """Key, value and headers, as much of them as a letter may hold, and what is missing then."""
    missing = []
    if len(message.value) > MOST_BYTES:
        missing.append(f"{len(message.value)} bytes, the first {MOST_BYTES} are here")
    if len(message.key) > MOST_TEXT:
        missing.append(f"a key of {len(message.key)} characters, the first {MOST_TEXT} are here")
    kept, size = 0, 0
    for name, text in message.headers:
        size += len(name.encode()) + len(text)
        if size > MOST_HEADER_BYTES:
            missing.append(f"{len(message.headers)} headers, the first {kept} are here")
            break
        kept += 1
    key, value = message.key[:MOST_TEXT], message.value[:MOST_BYTES]
    return key, value, tuple(message.headers[:kept]), "; ".join(missing)
