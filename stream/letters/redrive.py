"""Sends dead letters back to where they came from: as they are, or repaired."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal

import msgspec

from estimator.errors import RecordError, RefusedError
from stream.letters.dead_letter_box import DeadLetterBox, Letter
from stream.letters.dead_letters import reason_kind
from stream.log.protocol import Log, Outgoing
from stream.records import POWER_TOPIC, USAGE_TOPIC, decode_power, decode_usage

Fate = Literal["redriven", "unreadable", "truncated", "refused"]
FATES: Final[tuple[Fate, ...]] = ("redriven", "unreadable", "truncated", "refused")

_BATCH: Final = 200
_BATCH_BYTES: Final = 4 * 1024 * 1024


class Choice(msgspec.Struct, frozen=True):
    """Which letters are meant: of these kinds of reason, topics and nodes (keys); empty: any."""

    kinds: Collection[str] = ()
    topics: Collection[str] = ()
    nodes: Collection[str] = ()

    def has(self, letter: Letter) -> bool:
        """Whether this letter is meant."""
        dead = letter.dead
        return (
            (not self.kinds or reason_kind(dead.reason) in self.kinds)
            and (not self.topics or dead.topic in self.topics)
            and (not self.nodes or dead.key in self.nodes)
        )


class Redriver:
    """Sends chosen letters of a box back, and leaves a receipt for each.

    A letter goes to the topic that it came from, under its record's node as the key, with its
    original headers and ``redriven`` (its name). It must be readable by now: one that is not stays
    where it is. First the record is appended, then the receipt: a crash between the two has the
    letter sent once more by the next run, which the join drops as a duplicate.

    ``clock`` gives Unix seconds; ``tell`` is told of each letter that was not sent, and why. In a
    dry run nothing is written, and the counts say what would have become of the letters.
    """

    def __init__(
        self,
        log: Log,
        box: DeadLetterBox,
        *,
        clock: Callable[[], float],
        tell: Callable[[Letter, str], None],
        dry_run: bool = False,
    ) -> None:
        self._log = log
        self._box = box
        self._clock = clock
        self._tell = tell
        self._dry_run = dry_run
        self.counts: dict[str, Counter[Fate]] = defaultdict(Counter)
        """What became of the letters, by the topic that they came from."""

    def run(
        self, choice: Choice, repaired: Mapping[str, bytes] | None = None, *, again: bool = False
    ) -> set[str]:
        """Send the chosen letters; with ``repaired``, those that it names, with these values.

        With ``again``, also those that have been sent before. Returns the names of the letters
        that were met. Whatever stops it leaves receipts for those that were sent.
        """
        met: set[str] = set()
        batch: list[tuple[Letter, Outgoing]] = []
        size = 0
        for letter in self._box.letters(again=again):
            if not choice.has(letter) or (repaired is not None and letter.name not in repaired):
                continue
            met.add(letter.name)
            outgoing = self._prepared(letter, None if repaired is None else repaired[letter.name])
            if outgoing is not None:
                batch.append((letter, outgoing))
                size += len(outgoing.value)
            if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                self._send(batch)
                batch, size = [], 0
        self._send(batch)
        if not self._dry_run:
            self._box.commit()
        return met

    def _prepared(self, letter: Letter, value: bytes | None) -> Outgoing | None:
        """What to send, if that can be read now."""
        if value is None and letter.dead.truncated:
            self._keep(letter, "truncated", f"it was truncated: {letter.dead.truncated}")
            return None
        value = letter.dead.value if value is None else value
        try:
            node = _node(letter.dead.topic, value, int(self._clock() * 1000))
        except RecordError as error:
            self._keep(letter, "unreadable", str(error))
            return None
        headers = (one for one in letter.dead.headers if one[0] != "redriven")
        return Outgoing(node, value, (*headers, ("redriven", letter.name.encode())))

    def _send(self, batch: Sequence[tuple[Letter, Outgoing]]) -> None:
        for topic in sorted({letter.dead.topic for letter, _ in batch}):
            ours = [one for one in batch if one[0].dead.topic == topic]
            sent = [letter for letter, _ in ours]
            if not self._dry_run:
                sent = self._append(topic, ours)
                self._box.settle(sent)
            self.counts[topic]["redriven"] += len(sent)

    def _append(self, topic: str, batch: Sequence[tuple[Letter, Outgoing]]) -> list[Letter]:
        """Append them, durably; those that the log has taken."""
        refused: tuple[int, ...] = ()
        try:
            self._log.append_many(topic, [outgoing for _, outgoing in batch])
        except RefusedError as error:
            refused = error.refused
            for place in refused:
                self._keep(batch[place][0], "refused", str(error))
        return [letter for place, (letter, _) in enumerate(batch) if place not in refused]

    def _keep(self, letter: Letter, fate: Fate, why: str) -> None:
        """Count a letter that stays where it is, and say why."""
        self.counts[letter.dead.topic][fate] += 1
        self._tell(letter, why)


def _node(topic: str, value: bytes, now_ms: int) -> str:
    """The node of a record that was just appended; ``RecordError`` if no learner can read it."""
    if topic == USAGE_TOPIC:
        return decode_usage(value, now_ms).node
    if topic == POWER_TOPIC:
        return decode_power(value, now_ms).node
    raise RecordError(f"topic is {topic!r}: only {USAGE_TOPIC} and {POWER_TOPIC} have records")
