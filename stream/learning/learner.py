"""Models that learn from samples: one for every model key that the data allow.

DynPower has models of its own here only where background workloads are isolated; where a level is
subtracted it comes of AbsPower when that is published, see `stream.learning.dynamic`.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import asdict

import estimator.regressors.batch as learned
from estimator.arrays import Floats, State
from estimator.errors import MisuseError
from estimator.isolation.isolator import Isolator
from estimator.learning.drift import Detection, Drift
from estimator.learning.model import PowerModel
from estimator.learning.strangers import Stranger
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.published.priors import Priors
from estimator.regressors.banks import BankMaker
from estimator.vocabulary import ABS_POWER, DYN_POWER, OutputType
from stream.learning.dynamic import isolated
from stream.learning.holdout import Nodes
from stream.learning.rounds import Round
from stream.sample import Sample

_log = logging.getLogger(__name__)

_MOST_ROUNDS: Final = 64
_MOST_ROWS: Final = 2048
"""So many are learned at once at the most: more would not be faster, only larger."""


class Pool(NamedTuple):
    """What models are made of: feature groups, the banks of experts by name, isolator, priors."""

    groups: Mapping[str, tuple[str, ...]]
    banks: Mapping[str, BankMaker]
    isolator: Isolator | None = None
    priors: Priors | None = None


class Learned(NamedTuple):
    """One round as one model met it: what it said of each sample, before it learned them if it did.

    ``drift`` is what the round's errors were the sign of, if they were.
    """

    key: ModelKey
    components: tuple[str, ...]
    nodes: list[str]
    at: int
    estimated: Floats
    measured: Floats
    drift: Detection | None = None


Observer = Callable[[Learned], None]

_Part = tuple[Stranger | None, tuple[str, ...], tuple[str, ...]]
"""What kind of strangers the nodes are, features, and components."""


@lru_cache(maxsize=1024)
def _node_type(machine: MachineSpec) -> str:
    """A text is put together only once a machine, not once a sample."""
    return machine.node_type


class _Waiting(NamedTuple):
    """A round that is over, and the model that is to learn it, or only to be asked about it."""

    model: PowerModel
    key: ModelKey
    nodes: list[str]
    batch: learned.Round
    stranger: Stranger | None


def _say(drift: Detection, key: ModelKey, model: PowerModel) -> None:
    _log.info(
        "drift of %s: its error of %s rose from %.2f to %.2f W; what it learned before counts "
        "less from now on",
        key.slug,
        model.components[drift.component],
        drift.before,
        drift.after,
    )


class _Alike(NamedTuple):
    """Those samples of a round of some node type and energy source that report alike."""

    place: tuple[str, str]
    features: tuple[str, ...]
    components: tuple[str, ...]
    nodes: list[str]
    at: int


class Learner:
    """All models of a shard, the rounds under way, and which nodes are strangers to them.

    Rounds that are over wait until some have come together or somebody wants to know: models learn
    many at once for less than one by one, and the same to the last bit.
    """

    def __init__(self, pool: Pool, observer: Observer | None = None) -> None:
        self._pool, self._observer = pool, observer
        self._rounds: dict[tuple[str, str], Round] = {}
        self._nodes: dict[tuple[str, str], Nodes] = {}
        self._columns: dict[tuple[str, ...], list[tuple[str, Sequence[int]]]] = {}
        self._models: dict[ModelKey, PowerModel] = {}
        self._waiting: dict[int, list[_Waiting]] = {}
        self.machines: dict[str, MachineSpec] = {}
        self.counts: Counter[str] = Counter()

    @property
    def isolator(self) -> Isolator | None:
        """What tells power above idle from the whole; None: there is AbsPower only."""
        return self._pool.isolator

    @property
    def models(self) -> dict[ModelKey, PowerModel]:
        """The models by key, having learned all rounds that are over."""
        self.catch_up()
        return self._models

    def learn_one(self, sample: Sample) -> None:
        """Add the sample to its round, having learned the round before it if that is over."""
        self.counts["samples"] += 1
        place = (_node_type(sample.machine), sample.source)
        current = self._rounds.get(place)
        if current is None:
            self.machines.setdefault(place[0], sample.machine)
            current = self._rounds[place] = Round()
        elif not current.fits(sample):
            self._learn_round(place, current)
            current = self._rounds[place] = Round()
        current.add(sample)

    def drifts(self) -> list[tuple[ModelKey, Drift]]:
        """How often each model has drifted, and when last. Any thread may ask."""
        return [(key, model.assessment.drift) for key, model in list(self._models.items())]

    def guarded(self) -> list[tuple[ModelKey, int, int]]:
        """How many rows of each model were clipped, and how many were outliers. Any thread may."""
        models = list(self._models.items())
        return [(key, model.clipped, model.outliers) for key, model in models]

    def flush(self) -> None:
        """Learn the rounds under way: no sample will come any more."""
        for place, current in sorted(self._rounds.items()):
            self._learn_round(place, current)
        self._rounds.clear()
        self.catch_up()

    def _learn_round(self, place: tuple[str, str], over: Round) -> None:
        # Nodes of one type mostly report alike: then there is one part, as long as the round.
        roles = self._nodes.setdefault(place, Nodes()).roles(over.samples)
        parts: dict[_Part, list[Sample]] = {}
        for sample, role in zip(over.samples, roles, strict=True):
            parts.setdefault((role, sample.features, sample.components), []).append(sample)
        at = max(sample.end for sample in over.samples)
        # Strangers first: they are asked about before the others teach.
        for part, samples in sorted(parts.items(), key=lambda item: item[0][0] is None):
            role, features, components = part
            rates = np.concatenate([sample.rates for sample in samples])
            rates = rates.reshape(len(samples), -1)
            watts = np.array([sample.watts for sample in samples])
            nodes = [sample.node for sample in samples]
            alike = _Alike(place, features, components, nodes, at)
            isolator = self.isolator
            if role is None and isolator is not None and isolator.hints is not None:
                self._isolate(alike, samples)
            self._teach(alike, ABS_POWER, rates, watts, role)

    def _teach(
        self,
        part: _Alike,
        output: OutputType,
        rates: Floats,
        watts: Floats,
        role: Stranger | None = None,
    ) -> None:
        """Have the models of that output type wait for their turn with a part of a round."""
        for group, columns in self._groups_of(part.features):
            key = ModelKey(*part.place, output, group)
            if role is None:
                features = [part.features[column] for column in columns]
                model = self._model(key, features, part.components)
            else:
                model = self._models.get(key)
            if model is None or model.components != part.components:
                self.counts["incomplete"] += len(part.nodes) if role is None else 0
                continue
            over = learned.Round(rates[:, columns], watts, part.at)
            self._wait(_Waiting(model, key, part.nodes, over, role))

    def _isolate(self, part: _Alike, samples: Sequence[Sample]) -> None:
        """Teach DynPower what is above the background, by the AbsPower models as they are now."""
        models = []
        for group, columns in self._groups_of(part.features):
            model = self._models.get(ModelKey(*part.place, ABS_POWER, group))
            if model is not None and model.components == part.components:
                if queue := self._waiting.get(id(model)):
                    self._learn_waiting(queue)
                models.append((model, columns))
        found = isolated(part.features, samples, models)
        if found is not None:
            nodes = [part.nodes[place] for place in found.kept]
            self._teach(part._replace(nodes=nodes), DYN_POWER, found.target, found.watts)

    def _wait(self, over: _Waiting) -> None:
        waiting = self._waiting.setdefault(id(over.model), [])
        waiting.append(over)
        if len(waiting) * len(over.nodes) >= _MOST_ROWS or len(waiting) >= _MOST_ROUNDS:
            self._learn_waiting(waiting)

    def catch_up(self) -> None:
        """Have the models learn all rounds that are over."""
        # Who is told of it may ask for the models in turn.
        queues, self._waiting = self._waiting, {}
        for waiting in queues.values():
            if waiting:
                self._learn_waiting(waiting)

    def _learn_waiting(self, queue: list[_Waiting]) -> None:
        waiting = queue.copy()
        queue.clear()
        model = waiting[0].model
        watched = self._observer is not None
        rounds = [over.batch for over in waiting if over.stranger is None]
        shown = waiting[0].key.output_type == ABS_POWER
        lessons = deque(model.lessons(rounds, complete=watched) if rounds else ())
        for over in waiting:
            rows, watts, at = over.batch
            drift = None
            if over.stranger is None:
                estimated, _, drift = lessons.popleft()
                if drift is not None:
                    _say(drift, over.key, model)
            else:
                # Of strangers who was asked about the round that was learned next.
                asked = lessons[0].asked if lessons else model.current
                estimated = None
                if asked is not None:
                    estimated = model.assessment.score_strangers(
                        over.stranger, asked, rows, watts, at
                    )
            if shown and self._observer is not None and estimated is not None:
                self._observer(
                    Learned(over.key, model.components, over.nodes, at, estimated, watts, drift)
                )

    def _groups_of(self, features: tuple[str, ...]) -> list[tuple[str, Sequence[int]]]:
        """The feature groups that these features satisfy, and where each group's features are."""
        found = self._columns.get(features)
        if found is None:
            place = {feature: column for column, feature in enumerate(features)}
            found = self._columns[features] = [
                (group, [place[feature] for feature in needed])
                for group, needed in self._pool.groups.items()
                if place.keys() >= set(needed)
            ]
        return found

    def _model(
        self, key: ModelKey, features: Sequence[str], components: tuple[str, ...]
    ) -> PowerModel | None:
        """The model of that key; None if the sample lacks a component that the model has.

        A meter that shows a component more than before starts the model anew: what it knew says
        nothing of that component, and all components share what was learned of the features.
        """
        model = self._models.get(key)
        if model is not None and model.components != components:
            if not set(components) > set(model.components):
                return None
            self.counts["restarted_models"] += 1
            model = None
        if model is None:
            model = self._models[key] = self._new(key, features, components)
        return model

    def _new(
        self, key: ModelKey, features: Sequence[str], components: tuple[str, ...]
    ) -> PowerModel:
        """A model that starts from the most similar machine's imported one, or from nothing."""
        model = self._empty(key, features, components)
        priors = self._pool.priors
        if priors is not None:
            machine = self.machines[key.node_type]
            prior = priors.prior(key, machine, features, components)
            if prior is not None:
                model.start_from(prior)
        return model

    def _empty(
        self, key: ModelKey, features: Sequence[str], components: Sequence[str]
    ) -> PowerModel:
        above = key.output_type == DYN_POWER
        return PowerModel(features, components, self._pool.banks, above_idle=above)

    @property
    def _isolates(self) -> str:
        """How the samples of DynPower's models are isolated; empty if none are learned."""
        isolator = self.isolator
        return "" if isolator is None or isolator.hints is None else isolator.word

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit; valid until the next sample."""
        return {
            "counts": dict(self.counts),
            "rounds": [[*place, current.state()] for place, current in self._rounds.items()],
            "isolates": self._isolates,
            "nodes": [[*place, nodes.state()] for place, nodes in self._nodes.items()],
            **self._models_state(PowerModel.state),
        }

    def present(self) -> State:
        """What others need of the models to merge them: a state without what is under way."""
        return {
            "counts": {},
            "rounds": [],
            "isolates": self._isolates,
            **self._models_state(PowerModel.present),
        }

    def _models_state(self, state_of: Callable[[PowerModel], State]) -> State:
        return {
            "machines": {name: asdict(machine) for name, machine in self.machines.items()},
            "models": [
                {
                    "key": asdict(key),
                    "features": model.features,
                    "components": model.components,
                    "model": state_of(model),
                }
                for key, model in self.models.items()
            ],
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self.counts = Counter(state["counts"])
        self._rounds = {
            (node_type, source): Round.restore(saved)
            for node_type, source, saved in state["rounds"]
        }
        self._nodes = {
            (node_type, source): Nodes.restore(saved)
            for node_type, source, saved in state.get("nodes", [])  # `present` has none.
        }
        self.machines = {name: MachineSpec(**saved) for name, saved in state["machines"].items()}
        self._models, self._waiting = {}, {}
        for saved in state["models"]:
            banks = list(saved["model"]["banks"])
            if banks != list(self._pool.banks):
                raise MisuseError(
                    f"experts are {', '.join(self._pool.banks)}, and the checkpoint has "
                    f"{', '.join(banks)}: name the same, or learn anew in another data folder"
                )
            key = ModelKey(**saved["key"])
            if key.output_type == DYN_POWER and state["isolates"] != self._isolates:
                continue  # It learned what is above another background: it begins anew.
            features = tuple(saved["features"])
            if self._pool.groups.get(key.feature_group, features) != features:
                _log.info("%s has other features in this release: it begins anew", key.slug)
                continue
            model = self._empty(key, saved["features"], saved["components"])
            model.restore(saved["model"])
            self._models[key] = model
