"""A node's power by zone, by the best model for what is known of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from estimator.artifacts.frozen import horizon_for_age
from estimator.artifacts.serving import ServedModel
from estimator.choosing.choice import Entry, Query
from estimator.errors import NoModelError
from estimator.export.confidence import Trust, trust
from estimator.export.ledger import ZonePower
from estimator.kepler_socket.answering import Models, core_ratio
from estimator.machine import MachineSpec
from estimator.system.guest import sources_for
from estimator.vocabulary import DYN_POWER, RAPL

HARDLY: Final = 1.1
"""A model that errs by no more than that times the best one's error goes on answering."""


class Estimate(NamedTuple):
    """What one model says of the node: power and trust by zone, and how long it took to say so."""

    entry: Entry
    power: dict[str, ZonePower]
    trust: dict[str, Trust]
    seconds: float


class _Chosen:
    """A model with the one of DynPower beside it, made ready for a horizon."""

    def __init__(self, entry: Entry, dynamic: Entry | None) -> None:
        self.entry, self.dynamic = entry, dynamic
        self._horizon = -1
        self._served: list[ServedModel] = []

    def served(self, horizon: int) -> list[ServedModel]:
        if horizon != self._horizon:
            both = [self.entry] if self.dynamic is None else [self.entry, self.dynamic]
            self._served = [ServedModel(one.model, horizon) for one in both]
            self._horizon = horizon
        return self._served


class NodeEstimator:
    """Estimates a node's power above idle and idle, by zone of RAPL.

    The whole is what the best AbsPower model says. Above idle is what the DynPower model of the
    same machines and features says, at most the whole, and without one the whole less the model's
    idle power. Idle power is scaled by processors where the model's machine has more of them. A
    ``guest`` is estimated by models of guests, as long as there are any.
    """

    def __init__(
        self,
        models: Models,
        machine: MachineSpec,
        *,
        fallback: Models | None = None,
        unmetered: Collection[str] = (),
        guest: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.machine = machine
        self._sources = sources_for(RAPL, guest)
        self._models, self._fallback = models, fallback
        self._unmetered = RAPL in unmetered
        self._clock = clock
        self._kind: tuple[object, ...] = ()
        self._entries: tuple[Entry, ...] = ()
        self._choice: _Chosen | None = None
        self.reason = ""

    def move(self, machine: MachineSpec) -> None:
        """Choose by another machine from now on."""
        self.machine = machine

    def estimate(self, rates: Mapping[str, float]) -> Estimate | None:
        """What the node draws at these rates by feature; None, and ``reason``, without a model."""
        chosen = self._chosen(tuple(sorted(rates)))
        if chosen is None:
            return None
        manifest = chosen.entry.manifest
        age = self._clock() - manifest.at / 1000
        started = time.perf_counter()
        whole, *dynamic = [
            dict(zip(one.manifest.components, served.predict_one(_row(one, rates)), strict=True))
            for one, served in zip(
                (chosen.entry, chosen.dynamic or chosen.entry),
                chosen.served(horizon_for_age(max(0, int(age)))),
                strict=False,
            )
        ]
        seconds = time.perf_counter() - started
        idle = dict(zip(manifest.components, chosen.entry.model.idle.tolist(), strict=True))
        power, ratio = {}, core_ratio(self.machine, manifest.machine)
        for zone, watts in whole.items():
            above = dynamic[0].get(zone) if dynamic else None
            active = watts - idle[zone] if above is None else above
            active = min(max(active, 0.0), watts)
            power[zone] = ZonePower(active, (watts - active) * ratio)
        found = {zone: trust(manifest, zone, self.machine, age, self._unmetered) for zone in power}
        return Estimate(chosen.entry, power, found, seconds)

    def _chosen(self, features: tuple[str, ...]) -> _Chosen | None:
        entries = self._models.entries
        kind = (features, self.machine, id(entries))
        if kind != self._kind:
            self._kind = kind
            self._choice = self._choose(features)
            self._entries = entries  # so that its id is not another's
        return self._choice

    def _choose(self, features: tuple[str, ...]) -> _Chosen | None:
        self.reason = ""
        for models, source in itertools.product((self._models, self._fallback), self._sources):
            if models is None:
                continue
            query = Query(
                metrics=features, source=source, machine=self.machine, unmetered=self._unmetered
            )
            try:
                entry = self._kept(models.select(query), models.entries, features)
            except NoModelError as error:
                if source == RAPL:
                    self.reason = self.reason or str(error)
                continue
            key = msgspec.structs.replace(entry.manifest.key, output_type=DYN_POWER)
            beside = [one for one in models.entries if one.manifest.key == key]
            fit = [one for one in beside if set(one.manifest.features) <= set(features)]
            return _Chosen(entry, fit[0] if fit else None)
        return None

    def _kept(self, best: Entry, entries: Sequence[Entry], features: Sequence[str]) -> Entry:
        """The best model, or the one that has answered so far, if it is hardly more wrong.

        Two that are equally good would take turns with every version, and each turn ends all
        series, whose label is the model's name. One of another node type or energy source has had
        its time.
        """
        if self._choice is None:
            return best
        before, key = self._choice.entry.manifest.key, best.manifest.key
        if (key.node_type, key.source) != (before.node_type, before.source):
            return best
        for entry in entries:
            fits = set(entry.manifest.features) <= set(features)
            if entry.manifest.key == before and fits:
                return entry if self._error(entry) <= HARDLY * self._error(best) else best
        return best

    def _error(self, entry: Entry) -> float:
        return entry.transfer_error if self._unmetered else entry.error


def _row(entry: Entry, rates: Mapping[str, float]) -> list[float]:
    return [rates[feature] for feature in entry.manifest.features]
