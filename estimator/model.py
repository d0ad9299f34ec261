"""A model that learns: experts, guards, weights and scores of one model key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from estimator.arrays import Floats, State
from estimator.asking import ask
from estimator.drift import Drift
from estimator.frozen import FrozenModel, together
from estimator.guards import Guards, Idle
from estimator.kepler_curves import Curve
from estimator.regressors.bank import Bank, CurveMaker, Forgetter, LineMaker
from estimator.scoring import Scores
from estimator.snapshots import Snapshots
from estimator.strangers import Stranger, StrangerScores
from estimator.vocabulary import GAUGE_FEATURES, HORIZONS
from estimator.weighing import Weighing

RECENT_SECONDS: Final = 600.0
"""Half-life of the errors that are called recent."""

BankMaker = Callable[[Sequence[str], Sequence[str]], Bank]
"""Makes a bank for such features and components."""


class PowerModel:
    """Learns watts of ``components`` from rates of ``features``, and knows how wrong it is.

    Samples come in rounds: at most one of each node, so that a model of one node is scored on
    every sample before it learns it, and a model of thousands learns them together.
    """

    def __init__(
        self, features: Sequence[str], components: Sequence[str], banks: Mapping[str, BankMaker]
    ) -> None:
        self.features, self.components = tuple(features), tuple(components)
        count = len(self.components)
        self._makers = banks
        self._banks = {name: make(features, components) for name, make in banks.items()}
        experts = sum(len(bank.names) for bank in self._banks.values())
        usage = np.array([float(feature not in GAUGE_FEATURES) for feature in features])
        self._guards, self._idle = Guards(len(self.features), count), Idle(count, usage)
        self._weighing = Weighing(experts, count)
        self._snapshots = [Snapshots(horizon) for horizon in HORIZONS[1:]]
        self.total = Scores(len(HORIZONS), count)
        self.recent = Scores(len(HORIZONS), count, RECENT_SECONDS)
        self.drift, self.strangers = Drift(count), StrangerScores(count)
        self.samples, self.clipped = 0, 0
        self.since: int | None = None
        self.current: FrozenModel | None = None

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts' names, in the order in which arrays hold them."""
        return tuple(name for bank in self._banks.values() for name in bank.names)

    def predict_one(self, row: Mapping[str, float]) -> dict[str, float]:
        """Watts by component for rates by feature; nothing before the first round."""
        if self.current is None:
            return {}
        rows = np.array([[row[feature] for feature in self.features]])
        return dict(zip(self.components, self.current.predict_many(rows)[0].tolist(), strict=True))

    def learn_round(self, rows: Floats, watts: Floats, at: int) -> Floats | None:
        """Predict rows [K, F], score against watts [K, C], then learn, at event time ``at`` (ms).

        Returns what was predicted for the next sample, [K, C]; None for the very first round.
        """
        estimated = self._score(rows, watts, at)
        self._learn(rows, watts, at)
        return estimated

    def score_strangers(
        self, kind: Stranger, rows: Floats, watts: Floats, at: int
    ) -> Floats | None:
        """Predict rows [K, F] of nodes that are not to be learned from; score against watts [K, C].

        Returns what was predicted, [K, C]; None before the first round.
        """
        if self.current is None:
            return None
        estimated = self.current.predict_many(rows)
        self.strangers.update(kind, estimated, watts, at / 1000)
        return estimated

    def _score(self, rows: Floats, watts: Floats, at: int) -> Floats | None:
        if self.current is None:
            return None
        self.clipped += self.current.outside(rows)
        models = [self.current, *(snapshots.as_of(at) for snapshots in self._snapshots)]
        asked = [(horizon, model) for horizon, model in enumerate(models) if model is not None]
        horizons = [horizon for horizon, _ in asked]
        opinions, estimated = ask([model for _, model in asked], horizons, rows)
        terms = self.total.terms(estimated, watts)
        self.total.add(horizons, terms, at / 1000)
        self.recent.follow(self.total)
        self.recent.add(horizons, terms, at / 1000)
        self._weighing.update(horizons, np.abs(opinions - watts[:, None, :]), at / 1000)
        first: Floats = estimated[0]
        wrong = np.add.reduce(np.abs(first - watts)) / len(watts)
        if self.drift.observe(wrong, self._guards.ceiling, at) is not None:
            self._forget()
        return first

    def _forget(self) -> None:
        """Let what comes now count at once, against all that was learned before the drift."""
        self._idle.forget()
        for bank in self._banks.values():
            if isinstance(bank, Forgetter):
                bank.forget()

    def _learn(self, rows: Floats, watts: Floats, at: int) -> None:
        self._guards.observe(rows, watts)
        self._idle.observe(rows, watts, self._guards.seen[1])
        for bank in self._banks.values():
            bank.learn_many(rows, watts, at / 1000)
        self.samples += len(rows)
        self.since = at if self.since is None else self.since
        self._freeze(at)

    def _freeze(self, at: int) -> None:
        guards = self._guards
        self.current = FrozenModel(
            banks=together([bank.freeze() for bank in self._banks.values()]),
            weights=self._weighing.weights(),
            idle=self._idle.watts(otherwise=guards.floor),
            floor=guards.floor,
            ceiling=guards.ceiling,
            seen=guards.seen,
            at=max(at, self.current.at if self.current else at),
        )
        for snapshots in self._snapshots:
            snapshots.keep(self.current)

    def ever_positive(self, component: int) -> bool:
        """Whether the component with that index has ever been above 0 W."""
        return bool(self._guards.ceiling[component] > 0)

    def lines(self) -> tuple[Floats, Floats, Floats] | None:
        """A line for Kepler: bias [C], weights [F, C], scales [F]; None if no bank can make one.

        The bias is at most the least power seen: what a machine draws at rest is no more.
        """
        for bank in self._banks.values():
            if isinstance(bank, LineMaker):
                return bank.lines(self._guards.floor)
        return None

    def curves(self) -> dict[str, list[Curve]]:
        """Curves for Kepler, by trainer one of each component; none if no bank can make them."""
        for bank in self._banks.values():
            if isinstance(bank, CurveMaker):
                return bank.curves(self._guards.floor)
        return {}

    def merged(self, others: Sequence[PowerModel]) -> PowerModel:
        """One model of what this and others, of the same key and shape, have learned.

        For publishing: what adds up is added (sums of ridges, ranges, errors), the rest is mixed
        by the number of samples. It has no past, so it is not scored and does not learn on.
        """
        made = PowerModel(self.features, self.components, self._makers)
        for model in (self, *others):
            if model.current is not None:
                made._absorb(model)
        if made.current is not None:
            made._freeze(made.current.at)
        return made

    def _absorb(self, other: PowerModel) -> None:
        self.samples += other.samples
        self.clipped += other.clipped
        share = other.samples / self.samples
        for name, bank in self._banks.items():
            bank.absorb(other._banks[name], share)
        self._guards.absorb(other._guards)
        self._idle.absorb(other._idle)
        self._weighing.absorb(other._weighing, share)
        self.total.absorb(other.total)
        self.recent.absorb(other.recent)
        self.drift.absorb(other.drift)
        self.strangers.absorb(other.strangers)
        if other.since is not None:
            self.since = other.since if self.since is None else min(self.since, other.since)
        if self.current is None or (other.current and other.current.at > self.current.at):
            self.current = other.current

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit; valid until the next round."""
        return {
            "banks": {name: bank.state() for name, bank in self._banks.items()},
            "guards": self._guards.state(),
            "idle": self._idle.state(),
            "weighing": self._weighing.state(),
            "snapshots": [snapshots.state() for snapshots in self._snapshots],
            "total": self.total.state(),
            "recent": self.recent.state(),
            "drift": self.drift.state(),
            "strangers": self.strangers.state(),
            "samples": self.samples,
            "clipped": self.clipped,
            "since": self.since,
            "current": None if self.current is None else self.current.state(),
        }

    def present(self) -> State:
        """A state without the past: all that `merged` needs of others, and much smaller."""
        return {
            **self.state(),
            "snapshots": [Snapshots(horizon).state() for horizon in HORIZONS[1:]],
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        for name, bank in self._banks.items():
            bank.restore(state["banks"][name])
        self._guards.restore(state["guards"])
        self._idle.restore(state["idle"])
        self._weighing.restore(state["weighing"])
        for snapshots, saved in zip(self._snapshots, state["snapshots"], strict=True):
            snapshots.restore(saved)
        self.total.restore(state["total"])
        self.recent.restore(state["recent"])
        if "drift" in state:  # Checkpoints of before have neither.
            self.drift.restore(state["drift"])
            self.strangers.restore(state["strangers"])
        self.samples, self.clipped = state["samples"], state["clipped"]
        self.since = state["since"]
        current = state["current"]
        self.current = None if current is None else FrozenModel.restore(current)
