"""How long to wait before trying again."""

from __future__ import annotations

import random


class Backoff:
    """Seconds to wait after each failure in a row: doubling from first to longest, jittered.

    The jitter, a fifth either way, keeps many that failed together from coming back together.

    >>> backoff = Backoff(random.Random(1), first=1, longest=60)
    >>> delays = [backoff.next_delay() for _ in range(8)]
    >>> all(1 <= delay <= 60 for delay in delays), delays[5] > 25
    (True, True)
    """

    def __init__(self, rng: random.Random, *, first: float = 1.0, longest: float = 60.0) -> None:
        self._rng = rng
        self._first = first
        self._longest = longest
        self._doubled = first

    def next_delay(self) -> float:
        """Seconds to wait now."""
        delay = self._doubled * self._rng.uniform(0.8, 1.2)
        self._doubled = min(self._doubled * 2, self._longest)
        return min(max(delay, self._first), self._longest)

    def reset(self) -> None:
        """It worked: the next failure is a first one."""
        self._doubled = self._first
