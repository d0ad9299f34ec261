"""Which records of a log are asked for: those of some nodes, and of some stretch of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

import msgspec

from stream.joining.merge import Entry
from stream.learning.shard import read
from stream.log.protocol import Message
from stream.replaying.when import format_time

OTHER_NODES: Final = "other nodes"
OTHER_TIMES: Final = "other times"
_REMEMBERED: Final = 65_536
_MOST_NAMED: Final = 5


class Outside(msgspec.Struct):
    """What was left out, for who has asked for nothing that is there: names, first and last time.

    Times are Unix ms. A few names are enough to see what is meant.
    """

    nodes: list[str] = []
    first: int | None = None
    last: int | None = None

    def add_node(self, node: str) -> None:
        """Take in a node; each once."""
        if len(self.nodes) < _MOST_NAMED and node not in self.nodes:
            self.nodes.append(node)

    def add_time(self, at: int) -> None:
        """Take in a time."""
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

    @property
    def words(self) -> str:
        """What there is, in one line; empty where nothing was left out."""
        found = [f"there are {', '.join(self.nodes)}"] if self.nodes else []
        if self.first is not None and self.last is not None:
            times = " to ".join(format_time(at) for at in (self.first, self.last))
            found.append(f"there are records of {times}")
        return "; ".join(found)


class Selection:
    """Reads records of these nodes whose event time (Unix ms) is in [start_ms, end_ms).

    ``nodes`` are names and patterns with ``*``, ``?`` and ``[...]``; none means all. The key says
    whose a record is, so that those of other nodes cost no decoding; where a foreign producer gave
    none, the record does. A record that cannot be read has no time of its own: that of the log
    counts. ``outside`` says what there was beside.
    """

    def __init__(self, start_ms: int, end_ms: int, nodes: Sequence[str] = ()) -> None:
        self._start_ms, self._end_ms = start_ms, end_ms
        matches = re.compile("|".join(map(translate, nodes))).match if nodes else None
        self.outside = Outside()

        # A node has as many records as there were readings, and one name.
        @lru_cache(_REMEMBERED)
        def is_asked_for(node: str) -> bool:
            asked = matches is None or matches(node) is not None
            if not asked:
                self.outside.add_node(node)
            return asked

        self._is_asked_for = is_asked_for

    def read(self, message: Message) -> Entry:
        """The message with its record, with the reason why it holds none, or left out."""
        if message.key and not self._is_asked_for(message.key):
            return _left_out(message, OTHER_NODES)
        entry = read(message)
        record = entry.record
        at = message.appended_ms if record is None else record.at
        if not self._start_ms <= at < self._end_ms:
            self.outside.add_time(at)
            return _left_out(message, OTHER_TIMES)
        if record is not None and not message.key and not self._is_asked_for(record.node):
            return _left_out(message, OTHER_NODES)
        return entry


def _left_out(message: Message, reason: str) -> Entry:
    return Entry(message, None, reason, left_out=True)
