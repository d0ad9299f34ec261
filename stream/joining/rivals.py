"""Notices that several collectors publish the same node at once, which nobody means to do."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from estimator.vocabulary import HYPERVISOR
from stream.log.protocol import Message
from stream.records import PowerRecord, UsageRecord

_log = logging.getLogger(__name__)

HEADER: Final = "collector"
"""The header of a record that names who published it."""
_AT_ONCE_MS: Final = 60_000
"""A collector that comes back within so long has not taken turns with the other."""
_MOST: Final = 50_000


class _Seen(NamedTuple):
    """Who published last, who did before, and until when that one's return means both at once."""

    last: str
    before: str
    until_ms: int


class Rivals:
    """Warns once of each node whose usage, or whose power by one meter, comes from two collectors.

    Two that read one exporter do no harm but double the samples (the same time counts once); two
    machines of one name make each other's counters jump, and nothing right is learned of either.
    A guest that two hosts show has counters that do not belong together, and is not learned.
    A collector that takes another's place, or brings what the other does not, is no rival.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._said: set[str] = set()

    def notice(self, message: Message, record: UsageRecord | PowerRecord) -> None:
        """Look at who published the record."""
        if not message.headers:
            return
        who = next((value for name, value in message.headers if name == HEADER), None)
        if who is None:
            return
        name = who.decode(errors="replace")
        what = record.source if isinstance(record, PowerRecord) else "usage"
        seen = self._seen.get((record.node, what))
        if seen is not None and seen.last == name:
            return
        if seen is not None and seen.before == name and message.appended_ms < seen.until_ms:
            self._say(record.node, what, seen)
        if len(self._seen) >= _MOST:
            self._seen.clear()
        before = "" if seen is None else seen.last
        self._seen[record.node, what] = _Seen(name, before, message.appended_ms + _AT_ONCE_MS)

    def _say(self, node: str, what: str, seen: _Seen) -> None:
        if node in self._said or len(self._said) >= _MOST:
            return
        self._said.add(node)
        if what == HYPERVISOR:
            _log.warning(
                "guest %r: its power comes from two hosts at once, as %s and %s say: nothing is"
                " learned of it until one of them is silent",
                *(node, seen.before, seen.last),
            )
            return
        _log.warning(
            "node %r: %s comes from two collectors, %s and %s: stop one, or give the machines"
            " different names",
            *(node, what, seen.before, seen.last),
        )
