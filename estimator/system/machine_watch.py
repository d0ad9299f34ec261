"""Whether this machine is still the one it was: a guest may be moved to another kind of host."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from estimator.machine import MachineSpec

EVERY_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class MachineWatch:
    """Looks at the machine once a minute at most, and tells whoever chooses models by it.

    Any thread may look. ``changes`` counts how often the machine was another one.
    """

    def __init__(
        self,
        machine: MachineSpec,
        discover: Callable[[], MachineSpec],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine = machine
        self.changes = 0
        self._discover, self._clock = discover, clock
        self._at = clock()
        self._told: list[Callable[[MachineSpec], None]] = []
        self._lock = threading.Lock()

    def tell(self, who: Callable[[MachineSpec], None]) -> None:
        """Have that called with the new machine whenever it has changed."""
        self._told.append(who)

    def look(self) -> None:
        """Look, if it is time to."""
        with self._lock:
            if self._clock() - self._at < EVERY_SECONDS:
                return
            self._at = self._clock()
            found, before = self._discover(), self.machine
            if found.node_type == before.node_type:
                return
            _log.warning(
                "this machine was %s and is %s now: models are chosen for that",
                before.node_type,
                found.node_type,
            )
            self.machine = found
            self.changes += 1
            for who in self._told:
                who(found)
