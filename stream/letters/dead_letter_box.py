"""What lies in the topic of dead letters: which letters wait, and which have been sent back."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from estimator.errors import RecordError
from stream.letters.dead_letters import DeadLetter, describe
from stream.log.protocol import Log, Message, Outgoing, TopicPartition
from stream.log.reading import read_between
from stream.records import DEAD_TOPIC

_log = logging.getLogger(__name__)

GROUP: Final = "wattstream-redrive"
"""Its committed offsets say before which letter of a partition none waits any more."""
_RECEIPT: Final = "receipt"


class Letter(NamedTuple):
    """A dead letter and its name: partition and offset in ``wattstream.dead``, as "0/12"."""

    name: str
    dead: DeadLetter
    redriven: bool
    """It has been sent back."""


class DeadLetterBox:
    """The dead letters that are in the log at one moment, and those among them that wait.

    Whoever sends a letter back leaves a receipt in the same topic: a message whose first header is
    ``receipt``, with the letter's name. The receipts are the truth; the group's offsets say where
    to begin to look. What is neither a letter nor a receipt is passed over.

    ``NotFoundError`` if there is no such topic.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._begins = log.begin_offsets(DEAD_TOPIC)
        self._ends = log.end_offsets(DEAD_TOPIC)
        committed = log.committed(GROUP)
        self._starts = {
            where: min(max(begin, committed.get(where, 0)), self._ends[where])
            for where, begin in self._begins.items()
        }

    @property
    def unread(self) -> int:
        """How many messages must be read to know which letters wait."""
        return sum(self._ends.values()) - sum(self._starts.values())

    @cached_property
    def waiting(self) -> dict[str, TopicPartition]:
        """The names of the letters that wait, and where each record was; oldest first."""
        found: dict[str, TopicPartition] = {}
        for message in read_between(self._log, self._starts, self._ends):
            receipt = _receipt(message)
            if receipt is not None:
                found.pop(receipt, None)
            elif (dead := _described(message)) is not None:
                found[_name(message)] = TopicPartition(dead.topic, dead.partition)
        return found

    def letters(self, *, again: bool = False) -> Iterator[Letter]:
        """The letters that wait or, with ``again``, all; in order within each partition."""
        starts = self._begins if again else self._starts
        for message in read_between(self._log, starts, self._ends):
            redriven = _name(message) not in self.waiting
            if _receipt(message) is None and (again or not redriven):
                dead = _described(message)
                if dead is not None:
                    yield Letter(_name(message), dead, redriven)

    def settle(self, letters: Sequence[Letter]) -> None:
        """Leave a receipt for each of these letters, durably: they do not wait any more."""
        waited = [letter for letter in letters if letter.name in self.waiting]
        if waited:
            self._log.append_many(DEAD_TOPIC, [_receipt_for(letter) for letter in waited])
        for letter in waited:
            del self.waiting[letter.name]

    def commit(self) -> None:
        """Note the place of the first letter in each partition that still waits."""
        ends = self._log.end_offsets(DEAD_TOPIC)
        firsts = dict(ends)
        for name in reversed(self.waiting):
            where, offset = _place(name)
            firsts[where] = offset
        # Since this box was opened more letters may have come, between our receipts.
        for message in read_between(self._log, self._ends, ends):
            where = TopicPartition(message.topic, message.partition)
            if _receipt(message) is None:
                firsts[where] = min(firsts[where], message.offset)
        self._log.commit(GROUP, firsts)


def _name(message: Message) -> str:
    return f"{message.partition}/{message.offset}"


def _place(name: str) -> tuple[TopicPartition, int]:
    partition, _, offset = name.partition("/")
    return TopicPartition(DEAD_TOPIC, int(partition)), int(offset)


def _receipt(message: Message) -> str | None:
    """The name of the letter that this is the receipt for, if it is one."""
    if message.headers and message.headers[0][0] == _RECEIPT:
        return message.headers[0][1].decode(errors="replace")
    return None


def _receipt_for(letter: Letter) -> Outgoing:
    return Outgoing(letter.dead.key, b"", ((_RECEIPT, letter.name.encode()),))


def _described(message: Message) -> DeadLetter | None:
    try:
        return describe(message)
    except RecordError as error:
        _log.debug("%s %s: %s", DEAD_TOPIC, _name(message), error)
        return None
