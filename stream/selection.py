"""Which records of a log are asked for: those of some nodes, and of some stretch of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

from stream.log.protocol import Message
from stream.merge import Entry
from stream.shard import read

OTHER_NODES: Final = "other nodes"
OTHER_TIMES: Final = "other times"
_REMEMBERED: Final = 65_536


class Selection:
    """Reads records of these nodes whose event time (Unix ms) is in [start_ms, end_ms).

    ``nodes`` are names and patterns with ``*``, ``?`` and ``[...]``; none means all. The key says
    whose a record is, so that those of other nodes cost no decoding; where a foreign producer gave
    none, the record does. A record that cannot be read has no time of its own: that of the log
    counts.
    """

    def __init__(self, start_ms: int, end_ms: int, nodes: Sequence[str] = ()) -> None:
        self._start_ms, self._end_ms = start_ms, end_ms
        matches = re.compile("|".join(map(translate, nodes))).match if nodes else None
        # A node has as many records as there were readings, and one name.
        self._is_asked_for = lru_cache(_REMEMBERED)(
            lambda node: matches is None or matches(node) is not None
        )

    def read(self, message: Message) -> Entry:
        """The message with its record, with the reason why it holds none, or left out."""
        if message.key and not self._is_asked_for(message.key):
            return _left_out(message, OTHER_NODES)
        entry = read(message)
        record = entry.record
        at = message.appended_ms if record is None else record.at
        if not self._start_ms <= at < self._end_ms:
            return _left_out(message, OTHER_TIMES)
        if record is not None and not message.key and not self._is_asked_for(record.node):
            return _left_out(message, OTHER_NODES)
        return entry


def _left_out(message: Message, reason: str) -> Entry:
    return Entry(message, None, reason, left_out=True)
