"""A model that learns: the experts and guards of one model key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.chunks import Chunks
from estimator.artifacts.frozen import FrozenModel
from estimator.artifacts.kepler_curves import Curve
from estimator.learning.assessment import Assessment
from estimator.learning.guards import Guards, Idle, NoIdle
from estimator.learning.lessons import Lesson
from estimator.learning.lowest import Lowest
from estimator.regressors.banks import BankMaker, Banks, Taught
from estimator.regressors.batch import Batch, Round
from estimator.regressors.prior import Prior, Reach
from estimator.vocabulary import GAUGE_FEATURES

_UNWEIGHED: Final = np.empty((0, 0, 0))


class PowerModel:
    """Learns watts of ``components`` from rates of ``features``.

    How wrong it is, its ``assessment`` knows, by which its experts are weighed.

    Samples come in rounds: at most one of each node, so that a model of one node is scored on
    every sample before it learns it, and a model of thousands learns them together.

    One of power ``above_idle`` (DynPower) answers 0 to a row of zeros, and may say as little.
    """

    def __init__(
        self,
        features: Sequence[str],
        components: Sequence[str],
        banks: Mapping[str, BankMaker],
        *,
        above_idle: bool = False,
    ) -> None:
        self.features, self.components = tuple(features), tuple(components)
        count = len(self.components)
        self._banks = Banks(banks, features, components)
        usage = np.array([float(feature not in GAUGE_FEATURES) for feature in features])
        self._guards, self._idle = Guards(len(self.features), count), Idle(count, usage)
        self._above_idle = above_idle
        if above_idle:
            self._guards.floor, self._idle = np.zeros(count), NoIdle(count, usage)
        self.lowest = Lowest(count)
        self.assessment = Assessment(len(self.features), len(self._banks.experts), count)
        self.samples, self.clipped, self.outliers = 0, 0, 0
        self._doubted = False
        self.since: int | None = None
        self._current: FrozenModel | None = None
        self._reach: Reach | None = None

    @property
    def current(self) -> FrozenModel | None:
        """What the model would say now; None before the first round."""
        return self._current

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts' names, in the order in which arrays hold them."""
        return self._banks.experts

    def predict_one(self, row: Mapping[str, float]) -> dict[str, float]:
        """Watts by component for rates by feature; nothing before the first round."""
        if self._current is None:
            return {}
        rows = np.array([[row[feature] for feature in self.features]])
        return dict(zip(self.components, self._current.predict_many(rows)[0].tolist(), strict=True))

    def start_from(self, prior: Prior) -> None:
        """Start from what another machine draws, having learned nothing."""
        self._banks.start_from(prior)
        self._reach = Reach.of(prior)

    def learn_round(self, rows: Floats, watts: Floats, at: int) -> Floats | None:
        """Predict rows [K, F], score against watts [K, C], then learn, at event time ``at`` (ms).

        Returns what was predicted for the next sample, [K, C]; None for the very first round.
        """
        return self.learn_rounds([Round(rows, watts, at)])[0]

    def learn_rounds(
        self, rounds: Sequence[Round], *, complete: bool = True
    ) -> list[Floats | None]:
        """What `learn_round` does with one round after the other, bit for bit, for less.

        Of rounds with many rows only some are scored. Where nobody wants to know what is said of
        the others (not ``complete``), these are not asked about, and None stands for the round.
        """
        return [lesson.estimated for lesson in self.lessons(rounds, complete=complete)]

    def lessons(self, rounds: Sequence[Round], *, complete: bool = True) -> list[Lesson]:
        """Learn the rounds as `learn_rounds` does, and tell more of each."""
        if (
            self._current is None
            or self._guards.beyond_belief(np.concatenate([one.watts for one in rounds])).any()
        ):
            # Whether a round is believed depends on those before it.
            return [self._learn_checked(one, complete) for one in rounds]
        self._doubted = False
        return self._learn(rounds, complete)

    def _learn_checked(self, one: Round, complete: bool) -> Lesson:
        """Learn a round, but for rows that nobody would believe; see `Guards.beyond_belief`."""
        asked = self._current
        if asked is None:
            return self._learn([one], complete)[0]
        doubted = self._guards.beyond_belief(one.watts)
        before, self._doubted = self._doubted, bool(doubted.any())
        if before or not self._doubted:
            return self._learn([one], complete)[0]
        self.outliers += int(doubted.sum())
        estimated, drift = asked.predict_many(one.rows), None
        if not doubted.all():
            rest = Round(one.rows[~doubted], one.watts[~doubted], one.at)
            drift = self._learn([rest], complete=False)[0].drift
        return Lesson(estimated, asked, drift)

    def _learn(
        self, rounds: Sequence[Round], complete: bool, taught: Taught | None = None
    ) -> list[Lesson]:
        """Learn the rounds and score them; banks in ``taught`` have learned them already.

        That there is drift is known when its round has been learned. The rounds after it are for
        those who have forgotten what was before: if there are any, all goes back to the mark.
        """
        batch = Batch(rounds)
        mark = self._mark() if len(rounds) > 1 else None
        taught = self._banks.learn_rounds(batch, taught)
        seen = self._guards.seen
        models = self._freeze_rounds(batch, taught)
        judged = self.assessment.judge(batch, self._current, models)
        drift, lessons = None, [Lesson(None, None)]
        if judged is not None:
            drift = judged.drift
            if drift is not None and mark is not None and drift[0] + 1 < len(rounds):
                self._rewind(mark)
                return self._learn_in_two(rounds, complete, taught, drift[0] + 1)
            self.assessment.count(batch, judged, self.samples)
            said = judged.questions.next_samples(batch, judged.estimated, complete=complete)
            lessons = [Lesson(*pair) for pair in zip(said, judged.now, strict=True)]
        self._clip(batch, seen)
        self.lowest.observe(batch.watts)
        self.samples += batch.starts[-1]
        self.since = batch.at[0] if self.since is None else self.since
        self._current = models[-1]
        if drift is not None:
            lessons[-1] = lessons[-1]._replace(drift=drift[1])
            self._forget()
        return lessons

    def _learn_in_two(
        self, rounds: Sequence[Round], complete: bool, taught: Taught, cut: int
    ) -> list[Lesson]:
        """Learn the rounds before the cut, which ends with a drift, then the others.

        Banks that do not forget have learned all of them, and need not again.
        """
        done = self._banks.lasting(taught)
        lessons = self._learn(rounds[:cut], complete, {name: done[name][:cut] for name in done})
        rest = self._learn(rounds[cut:], complete, {name: done[name][cut:] for name in done})
        return lessons + rest

    def _mark(self) -> dict[str, Any]:
        """Where everything is now that a drift in the midst of a batch concerns."""
        return {
            "guards": self._guards.state(),
            "idle": self._idle.state(),
            "assessment": self.assessment.mark(),
            "banks": self._banks.mark(),
        }

    def _rewind(self, mark: Mapping[str, Any]) -> None:
        self._guards.restore(mark["guards"])
        self._idle.restore(mark["idle"])
        self.assessment.rewind(mark["assessment"])
        self._banks.rewind(mark["banks"])

    def _forget(self) -> None:
        """Let what comes now count soon, against all that was learned before."""
        self._idle.forget()
        self._banks.forget()

    def _freeze_rounds(self, batch: Batch, taught: Taught) -> list[FrozenModel]:
        """What the model is after each round, but for the weights, which wait for scores."""
        ranges = self._guards.observe(batch)
        idle = self._idle.observe(batch, ranges)
        banks = self._banks.heard(taught)
        latest, models = self._current.at if self._current else batch.at[0], []
        rest = zip(banks, idle, *ranges, batch.at, strict=True)
        for experts, watts, seen, floor, ceiling, at in rest:
            latest = max(latest, at)
            models.append(FrozenModel(experts, _UNWEIGHED, watts, floor, ceiling, seen, latest))
        if self._reach is not None:
            self._reach.widen(models, [self.samples + learned for learned in batch.starts[1:]])
        return models

    def _clip(self, batch: Batch, seen: Floats) -> None:
        """Count the rows beyond the range [2, F] that had been seen before them."""
        if self._current is None:
            return
        least = np.concatenate([seen[:1], batch.least(batch.rows)])
        most = np.concatenate([seen[1:], batch.greatest(batch.rows)])
        least = np.minimum.accumulate(least)[:-1][batch.round_of_row]
        most = np.maximum.accumulate(most)[:-1][batch.round_of_row]
        beyond = (batch.rows < least) | (batch.rows > most)
        self.clipped += int(beyond.any(axis=1).sum())

    def _freeze(self, at: int) -> FrozenModel:
        guards, idle = self._guards, self._idle.watts()
        frozen = FrozenModel(
            banks=self._banks.freeze(),
            weights=self.assessment.weights(),
            idle=guards.floor if idle is None else idle,
            floor=guards.floor,
            ceiling=guards.ceiling,
            seen=guards.seen,
            at=at,
        )
        if self._reach is not None:
            self._reach.widen([frozen], [self.samples])
        return frozen

    def ever_positive(self, component: int) -> bool:
        """Whether the component with that index has ever been above 0 W."""
        return bool(self._guards.ceiling[component] > 0)

    def lines(self) -> tuple[Floats, Floats, Floats] | None:
        """A line for Kepler: bias [C], weights [F, C], scales [F]; None if no bank can make one.

        The bias is at most the least power seen: what a machine draws at rest is no more.
        """
        return self._banks.lines(self._guards.floor)

    def lines_above(self, level: Floats) -> tuple[Floats, Floats] | None:
        """Lines through 0 of what is above ``level`` [C]: weights [F, C], scales [F]; or None."""
        return self._banks.lines_above(level)

    def curves(self) -> dict[str, list[Curve]]:
        """Curves for Kepler, by trainer one of each component; none if no bank can make them."""
        return self._banks.curves(self._guards.floor)

    def merged(self, others: Sequence[PowerModel]) -> PowerModel:
        """One model of what this and others, of the same key and shape, have learned.

        For publishing: what adds up is added (sums of ridges, ranges, errors), the rest is mixed
        by the number of samples. It has no past and has noted nothing, so it is not scored and
        does not learn on.
        """
        made = PowerModel(
            self.features, self.components, self._banks.makers, above_idle=self._above_idle
        )
        for model in (self, *others):
            if model.current is not None:
                made._absorb(model)
        if made._current is not None:
            made._current = made._freeze(made._current.at)
        return made

    def _absorb(self, other: PowerModel) -> None:
        self.samples += other.samples
        self.clipped += other.clipped
        self.outliers += other.outliers
        share = other.samples / self.samples
        self._banks.absorb(other._banks, share)
        self._guards.absorb(other._guards)
        self._reach = self._reach or other._reach
        self._idle.absorb(other._idle)
        self.lowest.absorb(other.lowest)
        self.assessment.absorb(other.assessment, share)
        if other.since is not None:
            self.since = other.since if self.since is None else min(self.since, other.since)
        ours, theirs = self._current, other._current
        if ours is None or (theirs is not None and theirs.at > ours.at):
            self._current = theirs

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit; valid until the next round."""
        return self._state(past=True)

    def present(self) -> State:
        """A state without the past: all that `merged` needs of others, and much smaller."""
        return self._state(past=False)

    def _state(self, *, past: bool) -> State:
        chunks = Chunks()
        return {
            "banks": self._banks.state(chunks),
            "guards": self._guards.state(),
            "idle": self._idle.state(),
            "lowest": self.lowest.state(),
            **self.assessment.state(chunks, past=past),
            "samples": self.samples,
            "clipped": self.clipped,
            "outliers": self.outliers,
            "doubted": self._doubted,
            "since": self.since,
            "current": None if self._current is None else self._current.state(chunks),
            "chunks": chunks.state(),
            **({} if self._reach is None else {"reach": self._reach.state()}),
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        chunks = Chunks(state["chunks"])
        self._banks.restore(state["banks"], chunks)
        self._guards.restore(state["guards"])
        self._idle.restore(state["idle"])
        self.lowest.restore(state["lowest"])
        self.assessment.restore(state, chunks)
        self.samples, self.clipped = state["samples"], state["clipped"]
        self.outliers, self._doubted = state["outliers"], state["doubted"]
        self.since = state["since"]
        current = state["current"]
        self._current = None if current is None else FrozenModel.restore(current, chunks)
        self._reach = Reach.restore(state["reach"]) if "reach" in state else None
