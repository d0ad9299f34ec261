"""Which part of what a node did each of its processes did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from estimator.export.workloads import Process


class Shares(NamedTuple):
    """The processes' parts, which add up to 1, or none where nothing ran.

    ``seconds`` is the processor time that all of them together had since they were read before.
    """

    parts: dict[Process, float]
    seconds: float


class ShareTracker:
    """Turns readings of processor seconds into shares of what was used in between.

    A process counts from the second time it is seen: what it did before is nobody's of this
    interval. One whose time has fallen is another under the same name.
    """

    def __init__(self) -> None:
        self._last: dict[Process, float] = {}
        self._read = False

    def update(self, seconds: Mapping[Process, float]) -> Shares | None:
        """The shares since the last reading; None at the first one."""
        last, self._last = self._last, dict(seconds)
        used = {
            process: now - before
            for process, now in seconds.items()
            if (before := last.get(process)) is not None and now > before
        }
        first, self._read = not self._read, True
        if first:
            return None
        whole = sum(used.values())
        return Shares({process: each / whole for process, each in used.items()}, whole)

    def forget(self) -> None:
        """Begin anew: what comes next is from elsewhere."""
        self._last, self._read = {}, False
