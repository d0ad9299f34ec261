"""What may happen to a simulated node, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

Happening = Literal["firmware", "fan", "freeze", "lag"]


class Event(msgspec.Struct, frozen=True):
    """Something that happens so many seconds after the start, for a time or for good.

    ``firmware``: idle power rises by ``amount`` watts. ``fan``: the fans draw ``amount`` watts
    more. ``freeze``: the meter ``meter`` stands still. ``lag``: the platform meter averages over
    ``amount`` seconds instead of one.
    """

    what: Happening
    at_seconds: float
    amount: float = 0.0
    duration_seconds: float = math.inf
    meter: str = "rapl-sysfs"

    def active(self, seconds: float) -> bool:
        """Whether it has effect on the interval that begins then."""
        return self.at_seconds <= seconds < self.at_seconds + self.duration_seconds


DEMONSTRATION = (
    Event("firmware", at_seconds=900, amount=15.0),
    Event("fan", at_seconds=1500, amount=20.0, duration_seconds=600),
    Event("lag", at_seconds=2400, amount=8.0, duration_seconds=300),
    Event("freeze", at_seconds=3000, duration_seconds=30, meter="acpi"),
)
"""One event of each kind within the first hour."""


def amount_of(events: Iterable[Event], what: Happening, seconds: float) -> float:
    """The amounts of all active events of a kind, added up."""
    return sum(event.amount for event in events if event.what == what and event.active(seconds))


def frozen(events: Iterable[Event], meter: str, seconds: float) -> bool:
    """Whether a meter stands still.

    >>> frozen([Event("freeze", 5, duration_seconds=2, meter="acpi")], "acpi", 6.0)
    True
    """
    return any(e.what == "freeze" and e.meter == meter and e.active(seconds) for e in events)
