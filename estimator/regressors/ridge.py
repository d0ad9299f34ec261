"""Forgetting ridge regressions: the bank that sums moments up instead of remembering them."""

from __future__ import annotations

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch, Round
from estimator.regressors.level import Level
from estimator.regressors.moments import Moments, Solved
from estimator.regressors.nonnegative import bounded_least_squares
from estimator.regressors.prior import Prior
from estimator.regressors.prior_moments import start_from

HALF_LIVES_SECONDS = (40.0, 300.0, 1800.0)
PENALTY = 1e-4


class RidgeBank:
    """A ridge regression for every half-life, of second order unless ``order`` is 1.

    The longest remembering one is there a second time, raised or lowered by what it was lately
    wrong by (see `Level`): the shape of what the machine did for an hour, at the height of what it
    does now.
    """

    def __init__(
        self,
        features: int,
        components: int,
        half_lives_seconds: tuple[float, ...] = HALF_LIVES_SECONDS,
        penalty: float = PENALTY,
        order: int = 2,
    ) -> None:
        self._moments = Moments(features, components, half_lives_seconds, order)
        self._penalty = penalty
        self._longest = int(np.argmax(half_lives_seconds))
        self._level = Level(components)
        longest = half_lives_seconds[self._longest]
        kind, level = ("line", "line-level") if order == 1 else ("ridge", "level")
        self.names = (
            *(f"{kind}-{life:g}s" for life in half_lives_seconds),
            f"{level}-{longest:g}s",
        )

    def start_from(self, prior: Prior) -> None:
        """Start from another machine's power, having learned nothing."""
        start_from(self._moments, prior)

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        """Learn the rounds one after the other; what the regressions would say after each."""
        before = self._moments.frozen_scales()
        solved = self._moments.learn(batch, self._penalty)
        scales = np.concatenate([before[None], solved.scales[:-1]])[batch.round_of_row]
        # Beyond what it had seen a curve knows nothing: there it is asked about the edge.
        within = np.minimum(np.maximum(batch.rows, -scales), scales)
        terms = self._moments.expansion.expand(within / scales)
        levels = self._level.learn(batch, terms, solved.curves[:, self._longest])
        return [
            FrozenPolynomials.of_terms(scales, terms, self._moments.order)
            for scales, terms in zip(solved.scales, self._terms(solved, levels), strict=True)
        ]

    def learn_many(self, rows: Floats, watts: Floats, at_seconds: float) -> None:
        """Learn a round: rows [K, F] of rates, watts [K, C], at one event time."""
        self.learn_rounds(Batch([Round(rows, watts, round(at_seconds * 1000))]))

    def freeze(self) -> FrozenPolynomials:
        """What the regressions would say now, for ever: the curves, then the levelled one."""
        _, curves = self._moments.solve(self._penalty)
        solved = Solved(self._moments.frozen_scales()[None], curves[None])
        terms = self._terms(solved, self._level.watts[None])
        return FrozenPolynomials.of_terms(solved.scales[0], terms[0], self._moments.order)

    def _terms(self, solved: Solved, levels: Floats) -> Floats:
        """All experts' coefficients [B, D, E, C]."""
        levelled = solved.curves[:, self._longest, None].copy()
        levelled[:, 0, 0] += levels
        terms: Floats = np.concatenate([solved.curves, levelled], axis=1).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(terms)

    def absorb(self, other: Bank, share: float) -> None:
        """Add the sums of another: the same as if one had learned all samples."""
        if not isinstance(other, RidgeBank):
            raise TypeError(f"{type(other).__name__} is no RidgeBank")
        self._moments.absorb(other._moments)
        self._level.absorb(other._level, share)

    def forget(self) -> None:
        """Have the past weigh as little in each half-life's sums as in the next shorter one's.

        The longest had a level beside it: its past is raised by that, as if the machine had always
        drawn so much, and keeps its shape.
        """
        self._moments.raise_past(self._longest, self._level.settle())
        self._moments.forget()

    def mark(self) -> State:
        """Where the bank is now, for `rewind`: learning makes new arrays and keeps the old."""
        return self.state()

    def rewind(self, mark: State) -> None:
        """Go back to where `mark` was called."""
        self.restore(mark)

    def lines(self, ceiling_bias: Floats) -> tuple[Floats, Floats, Floats]:
        """A line for Kepler: bias [C] up to ``ceiling_bias``, weights [F, C], scales [F].

        Watts = bias + sum of weights * rate / scales, none of them negative. Kepler fetches
        weights once and keeps them, so the line is that of the longest memory.
        """
        a, b = self._linear_sums()
        greatest = np.full(b.shape, np.inf)
        greatest[0] = np.maximum(ceiling_bias, 0.0)
        found = bounded_least_squares(a, b, greatest)
        return found[0], found[1:], self._moments.frozen_scales()

    def lines_above(self, level: Floats) -> tuple[Floats, Floats]:
        """Lines through 0 of what is above ``level`` [C]: weights [F, C], scales [F].

        The same sums say it: a level less in what was measured is that many times the sum of a
        term less in its b. What has no bias may be applied to each workload: it adds up.
        """
        a, b = self._linear_sums()
        above = b[1:] - a[1:, :1] * level
        found = bounded_least_squares(a[1:, 1:], above, np.full(above.shape, np.inf))
        return found, self._moments.frozen_scales()

    def _linear_sums(self) -> tuple[Floats, Floats]:
        """A with the penalty, [1 + F, 1 + F], and b [1 + F, C] of the longest memory."""
        moments, longest = self._moments, int(np.argmax(self._moments.half_lives))
        linear = moments.expansion.linear_terms
        a = moments.a[longest, :linear, :linear].copy()
        a[np.arange(1, linear), np.arange(1, linear)] += self._penalty * a[0, 0]
        return a, moments.b[longest, :linear]

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {**self._moments.state(), "level": self._level.state()}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._moments.restore(state)
        self._level.restore(state["level"])
