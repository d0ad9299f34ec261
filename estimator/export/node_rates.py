"""Counters of a node as rates."""

from __future__ import annotations

from collections.abc import Mapping

from estimator.vocabulary import GAUGE_FEATURES


class NodeRates:
    """Turns readings of counters into rates per second; levels go through as they are."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._at = 0.0

    def update(self, counters: Mapping[str, float], at: float) -> dict[str, float]:
        """The rates since the reading before, which was at another time (seconds).

        What was not read then, or has fallen since, has none.

        >>> rates = NodeRates()
        >>> rates.update({"interrupts": 100.0, "page_faults": 9.0, "procs_running": 2.0}, 10.0)
        {'procs_running': 2.0}
        >>> rates.update({"interrupts": 150.0, "page_faults": 3.0, "procs_running": 1.0}, 15.0)
        {'interrupts': 10.0, 'procs_running': 1.0}
        """
        last, self._last = self._last, dict(counters)
        elapsed, self._at = at - self._at, at
        found = {}
        for name, value in counters.items():
            if name in GAUGE_FEATURES:
                found[name] = value
            elif name in last and value >= last[name] and elapsed > 0.0:
                found[name] = (value - last[name]) / elapsed
        return found
