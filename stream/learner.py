"""Models that learn from samples: one for every model key that the data allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import asdict

import estimator.batch as learned
from estimator.arrays import Floats, State
from estimator.errors import MisuseError
from estimator.machine import MachineSpec
from estimator.model import BankMaker, PowerModel
from estimator.model_key import ModelKey
from estimator.priors import Priors
from estimator.vocabulary import ABS_POWER
from stream.rounds import Round
from stream.sample import Sample

_MOST_ROUNDS: Final = 64
_MOST_ROWS: Final = 2048
"""So many are learned at once at the most: more would not be faster, only larger."""


class Pool(NamedTuple):
    """What models are made of: feature groups, the banks of experts by name, and priors."""

    groups: Mapping[str, tuple[str, ...]]
    banks: Mapping[str, BankMaker]
    priors: Priors | None = None


class Learned(NamedTuple):
    """One round as one model met it: what it said of each sample before it learned them."""

    key: ModelKey
    components: tuple[str, ...]
    nodes: list[str]
    at: int
    estimated: Floats
    measured: Floats


Observer = Callable[[Learned], None]


@lru_cache(maxsize=1024)
def _node_type(machine: MachineSpec) -> str:
    """A text is put together only once a machine, not once a sample."""
    return machine.node_type


class _Waiting(NamedTuple):
    """A round that is over, and the model that is to learn it."""

    model: PowerModel
    key: ModelKey
    nodes: list[str]
    batch: learned.Round


class Learner:
    """All models of a shard, and the rounds under way.

    Rounds that are over wait until some have come together or somebody wants to know: models learn
    many at once for less than one by one, and the same to the last bit.
    """

    def __init__(self, pool: Pool, observer: Observer | None = None) -> None:
        self._pool, self._observer = pool, observer
        self._rounds: dict[tuple[str, str], Round] = {}
        self._columns: dict[tuple[str, ...], list[tuple[str, Sequence[int]]]] = {}
        self._models: dict[ModelKey, PowerModel] = {}
        self._waiting: dict[int, list[_Waiting]] = {}
        self.machines: dict[str, MachineSpec] = {}
        self.counts: Counter[str] = Counter()

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

    def flush(self) -> None:
        """Learn the rounds under way: no sample will come any more."""
        for place, current in sorted(self._rounds.items()):
            self._learn_round(place, current)
        self._rounds.clear()
        self.catch_up()

    def _learn_round(self, place: tuple[str, str], over: Round) -> None:
        node_type, source = place
        # Nodes of one type mostly report alike: then there is one part, as long as the round.
        parts: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Sample]] = {}
        for sample in over.samples:
            parts.setdefault((sample.features, sample.components), []).append(sample)
        at = max(sample.end for sample in over.samples)
        for (features, components), samples in parts.items():
            rates = np.array([sample.rates for sample in samples])
            watts = np.array([sample.watts for sample in samples])
            for group, columns in self._groups_of(features):
                key = ModelKey(node_type, source, ABS_POWER, group)
                model = self._model(key, [features[column] for column in columns], components)
                if model is None:
                    self.counts["incomplete"] += len(samples)
                    continue
                nodes = [sample.node for sample in samples]
                self._wait(_Waiting(model, key, nodes, learned.Round(rates[:, columns], watts, at)))

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
        found = model.learn_rounds([over.batch for over in waiting], complete=watched)
        if self._observer is not None:
            for over, estimated in zip(waiting, found, strict=True):
                if estimated is not None:
                    _, watts, at = over.batch
                    seen = Learned(over.key, model.components, over.nodes, at, estimated, watts)
                    self._observer(seen)

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
        model = PowerModel(features, components, self._pool.banks)
        priors = self._pool.priors
        if priors is not None:
            machine = self.machines[key.node_type]
            prior = priors.prior(key, machine, features, components)
            if prior is not None:
                model.start_from(prior)
        return model

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit; valid until the next sample."""
        return {
            "counts": dict(self.counts),
            "rounds": [[*place, current.state()] for place, current in self._rounds.items()],
            **self._models_state(PowerModel.state),
        }

    def present(self) -> State:
        """What others need of the models to merge them: a state without what is under way."""
        return {"counts": {}, "rounds": [], **self._models_state(PowerModel.present)}

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
        self.machines = {name: MachineSpec(**saved) for name, saved in state["machines"].items()}
        self._models, self._waiting = {}, {}
        for saved in state["models"]:
            banks = list(saved["model"]["banks"])
            if banks != list(self._pool.banks):
                raise MisuseError(
                    f"experts are {', '.join(self._pool.banks)}, and the checkpoint has "
                    f"{', '.join(banks)}: name the same, or learn anew in another data folder"
                )
            model = PowerModel(saved["features"], saved["components"], self._pool.banks)
            model.restore(saved["model"])
            self._models[ModelKey(**saved["key"])] = model
