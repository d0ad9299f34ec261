"""How far a guest's clock is from its host's, measured by the log's, and corrected.

A guest's usage has the guest's time, its power the host's. The log takes both when they come: what
it takes most quickly shows how far each clock is from the log's, and so from the other.
"""

from __future__ import annotations

import logging
import math
from typing import Final

import msgspec

from estimator.arrays import State
from estimator.vocabulary import HYPERVISOR
from stream.records import PowerRecord, UsageRecord

_log = logging.getLogger(__name__)

_TOLERATED_MS: Final = 1000
"""Clocks that differ by less are taken as they are: records are on their way for unequal times."""
_TOLERATED_AT_FIRST_MS: Final = 10_000
"""So it is until the log has taken records for so long: those of one burst say little."""
_STEP_MS: Final = 500
_ENOUGH: Final = 3
_WINDOW_MS: Final = 60_000
_MOST: Final = 100_000


class _Delay(msgspec.Struct):
    """The shortest time from a record's own time to the log's, of the last minute or two (ms)."""

    first: int
    since: int
    at: int = 0
    """The time of the latest record."""
    least: float = math.inf
    before: float = math.inf
    count: int = 0
    """Records heard of, as far as it matters."""

    def add(self, at: int, appended_ms: int) -> None:
        if appended_ms - self.since >= _WINDOW_MS:
            self.since, self.before, self.least = appended_ms, self.least, math.inf
        self.at = at
        self.least = min(self.least, appended_ms - at)
        self.count = min(self.count + 1, _ENOUGH)

    @property
    def ms(self) -> int:
        return round(min(self.least, self.before))


class _Guest(msgspec.Struct):
    host: _Delay
    guest: _Delay | None = None
    shift: int | None = None
    """By how many ms the guest's times are moved; None until it is known."""
    said: int = 0
    """The last such that was said."""


class GuestClocks:
    """The clocks of the guests of one shard; what they are moved by depends on records alone."""

    def __init__(self) -> None:
        self._guests: dict[str, _Guest] = {}

    def hear_host(self, record: PowerRecord, appended_ms: int) -> bool:
        """Take note of a power record; whether it is the first by which its node is a guest."""
        if record.source != HYPERVISOR:
            return False
        guest = self._guests.get(record.node)
        if is_new := guest is None:
            if len(self._guests) >= _MOST:
                self._guests.clear()
            guest = self._guests[record.node] = _Guest(_Delay(appended_ms, appended_ms))
        guest.host.add(record.at, appended_ms)
        return is_new

    def moved(self, record: UsageRecord, appended_ms: int) -> tuple[UsageRecord | None, bool]:
        """The record with its time by the host's clock, and whether the guest's clock has jumped.

        No record as long as the clocks have not been compared. After a jump times before it mean
        nothing any more. Records of nodes that are no guests stay as they are.
        """
        guest = self._guests.get(record.node)
        if guest is None:
            return record, False
        has_jumped = False
        if guest.guest is None or record.at < guest.guest.at - _STEP_MS:
            # A clock that is put back looks like a record that was long on its way.
            has_jumped = guest.shift is not None
            guest.guest, guest.shift = _Delay(appended_ms, appended_ms), None
        guest.guest.add(record.at, appended_ms)
        has_jumped = self._compare(record.node, guest, guest.guest, appended_ms) or has_jumped
        if guest.shift is None:
            return None, has_jumped
        at = record.at + guest.shift
        if guest.shift and at >= 0:
            record = msgspec.structs.replace(record, at=at)
        return record, has_jumped

    def _compare(self, node: str, guest: _Guest, own: _Delay, now: int) -> bool:
        if min(guest.host.count, own.count) < _ENOUGH:
            return False
        behind, before = own.ms - guest.host.ms, guest.shift
        tolerated = _TOLERATED_MS
        if now - max(guest.host.first, own.first) < _TOLERATED_AT_FIRST_MS:
            tolerated = _TOLERATED_AT_FIRST_MS
        elif before:
            tolerated = _STEP_MS  # a clock that is corrected stays so while it is near that
        shift = behind if abs(behind) > tolerated else 0
        if before is not None and abs(shift - before) <= _STEP_MS:
            return False
        guest.shift = shift
        if shift != guest.said:
            guest.said = shift
            _say(node, shift)
        return before is not None

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {node: msgspec.to_builtins(guest) for node, guest in self._guests.items()}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._guests = {node: msgspec.convert(saved, _Guest) for node, saved in state.items()}


def _say(node: str, shift: int) -> None:
    if not shift:
        _log.info("guest %r: its clock is its host's again", node)
        return
    _log.warning(
        "guest %r: its clock is %.1f s %s its host's; its usage is moved by that",
        *(node, abs(shift) / 1000, "behind" if shift > 0 else "ahead of"),
    )
