"""Drift: noticing that a model's next-sample errors have risen for more than a moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from estimator.arrays import State
from estimator.learning.adwin import Adwin

SETTLING_ROUNDS: Final = 30
"""The first rounds are not regarded: who knows nothing yet is not drifting."""
USUAL_ROUNDS: Final = 60
"""Drift is looked for once the usual error is known from so many rounds more."""
REMEMBERED_ROUNDS: Final = 1000
"""The usual error is the geometric mean of about as many rounds: no single one moves it far."""
FULL_SCALE: Final = 16.0
"""Errors count up to that many times the usual one: an outlier is worth no more."""
NOTHING: Final = 0.005
"""Errors below that part of the greatest power are as good as none."""
_NOTHING_WATTS: Final = 1e-3

CONFIDENCE: Final = 0.05
RATIO: Final = 4.0
SHORTEST: Final = 3
CLOCK: Final = 1
"""How ADWIN is set; decision 27 has the measurements."""


class Detection(NamedTuple):
    """A drift: which component showed it, its mean errors in watts, and when (Unix ms)."""

    component: int
    before: float
    after: float
    at: int


class Drift:
    """Watches the next-sample errors of C components, and counts their drifts.

    An error is measured by the usual one of its component, so that it means the same for every
    machine, and cut off at `FULL_SCALE`, as ADWIN wants bounded values.
    """

    def __init__(self, components: int) -> None:
        self._adwin = Adwin(
            components, confidence=CONFIDENCE, ratio=RATIO, shortest=SHORTEST, clock=CLOCK
        )
        self._usual_log = [0.0] * components
        self._rounds = 0
        self.count = 0
        self.last: Detection | None = None

    def observe(
        self, wrong: Sequence[float], greatest: Sequence[float], at: int
    ) -> Detection | None:
        """Take in a round's mean absolute errors [C] in watts; the drift that they show, if any.

        ``greatest`` [C] is the greatest power so far, ``at`` the event time (Unix ms).
        """
        self._rounds += 1
        if self._rounds <= SETTLING_ROUNDS:
            return None
        known = self._rounds - SETTLING_ROUNDS - 1
        detection = self._look(wrong, at) if known >= USUAL_ROUNDS else None
        gained = 1.0 / min(known + 1, REMEMBERED_ROUNDS)
        for place, (error, most) in enumerate(zip(wrong, greatest, strict=True)):
            usual = self._usual_log[place]
            logarithm = math.log(max(error, NOTHING * most, _NOTHING_WATTS))
            self._usual_log[place] = usual + gained * (logarithm - usual)
        return detection

    def _look(self, wrong: Sequence[float], at: int) -> Detection | None:
        scale = [FULL_SCALE * usual for usual in map(math.exp, self._usual_log)]
        part = [min(error / full, 1.0) for error, full in zip(wrong, scale, strict=True)]
        cut = self._adwin.update(part)
        if cut is None:
            return None
        watts = scale[cut.stream]
        self.count += 1
        self.last = Detection(cut.stream, cut.before * watts, cut.after * watts, at)
        return self.last

    def absorb(self, other: Drift) -> None:
        """Count another's drifts too; the last one is the later one of both."""
        self.count += other.count
        if self.last is None or (other.last is not None and other.last.at > self.last.at):
            self.last = other.last

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {
            "adwin": self._adwin.state(),
            "usual_log": list(self._usual_log),
            "rounds": self._rounds,
            "count": self.count,
            "last": None if self.last is None else self.last._asdict(),
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._adwin.restore(state["adwin"])
        self._usual_log, self._rounds = list(state["usual_log"]), state["rounds"]
        self.count = state["count"]
        self.last = None if state["last"] is None else Detection(**state["last"])
