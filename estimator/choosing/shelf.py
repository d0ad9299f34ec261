"""The models of one energy source and output type, arranged to be chosen from quickly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from msgspec import UnsetType

from estimator.artifacts.kepler_curves import CURVE_TRAINERS, Curves
from estimator.choosing.choice import Choice, Entry, Query, chosen_by
from estimator.choosing.model_filter import Filter, Filterable
from estimator.choosing.similarity import Mask, Match, NodeTypeSearch
from estimator.errors import NoModelError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec

LINEAR_TRAINER: Final = "SGDRegressorTrainer"
"""What Kepler calls linear weights."""
OWN_TRAINER: Final = "Wattstream"
"""The name by which the whole of a model can be asked for as an archive."""
ARCHIVE_TRAINERS: Final = frozenset({OWN_TRAINER, LINEAR_TRAINER, "LinearRegressionTrainer"})
"""Trainers that may be asked for beside the names of experts; the whole model is the answer."""
KEPLER_COMPONENTS: Final = ("package", "core", "uncore", "dram", "platform")
"""The components that Kepler's weights may have."""
_SHOWN: Final = 12


class _Group:
    """The N models with the same features, best first, and what is asked of them as columns."""

    def __init__(self, entries: Iterable[Entry], places: dict[str, int]) -> None:
        # Of models equally good always the same one, whatever their order in the store.
        scored = [(entry, chosen_by(entry.manifest)) for entry in entries]
        scored.sort(key=lambda pair: _rank(*pair))
        self.entries = [entry for entry, _ in scored]
        self.ranks = [_rank(*pair) for pair in scored]
        self.transfer_ranks = [(entry.transfer_error, entry.tie) for entry in self.entries]
        self.features = frozenset(self.entries[0].manifest.features)
        self.numbers = np.array([entry.number for entry in self.entries])
        self.types = np.array([places[entry.manifest.key.node_type] for entry in self.entries])
        self._has_lines = np.array([_has_lines(entry) for entry in self.entries])
        self._filterable = Filterable(scored)

    def fitting(self, query: Query, wanted: Filter) -> Mask:
        """Which models have lines or curves, if these are asked for, and pass the filter: [N]."""
        fits = self._filterable.passing(wanted)
        if query.weight and query.trainer_name in CURVE_TRAINERS:
            # Kepler applies a curve to the first feature of its list, whatever that is.
            fits &= [_has_curves(entry, query) for entry in self.entries]
        elif query.weight:
            fits &= self._has_lines
        if query.trainer_name and not query.weight:
            fits &= [_is_of(entry, query.trainer_name) for entry in self.entries]
        if query.pipeline:
            fits &= [entry.pipeline == query.pipeline for entry in self.entries]
        return fits


_Fitting: TypeAlias = list[tuple[_Group, Mask]]


class Shelf:
    """All models of one source and output type."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        members: dict[str, int] = {}
        machines: dict[str, MachineSpec] = {}
        groups: dict[frozenset[str], list[Entry]] = {}
        for entry in entries:
            manifest = entry.manifest
            name = manifest.key.node_type
            machines.setdefault(name, manifest.machine)
            members[name] = max(members.get(name, 1), manifest.samples)
            groups.setdefault(frozenset(manifest.features), []).append(entry)
        self._types = list(machines)
        places = {name: place for place, name in enumerate(machines)}
        # How many machines make up a type is written nowhere; how many samples they gave, is.
        self._search = NodeTypeSearch(list(machines.values()), [members[name] for name in machines])
        self._curve_trainers = {name for entry in entries for name in curves_of(entry)}
        self._pipelines = {entry.pipeline for entry in entries}
        self._experts = {name for entry in entries for name in entry.manifest.experts}
        self._groups = [_Group(found, places) for found in groups.values()]

    def choose(self, query: Query, wanted: Filter) -> Choice:
        """The best model and how sure that is; ``NoModelError`` if there is none."""
        self._check_names(query)
        metrics = set(query.metrics)
        fitting = [
            (group, group.fitting(query, wanted))
            for group in self._groups
            if group.features <= metrics
        ]
        if not fitting:
            needed = sorted(", ".join(sorted(group.features)) for group in self._groups)
            raise NoModelError(
                f"metrics are {listed(query.metrics)}: models need {listed(needed, '; or ')}"
            )
        fitting = [(group, fits) for group, fits in fitting if fits.any()]
        if not fitting:
            raise NoModelError(f"no model fits{_limits(query)}")
        return self._best(query, fitting)

    def _best(self, query: Query, fitting: _Fitting) -> Choice:
        if query.node_type > 0:
            numbered = [
                (group, fits & (group.numbers == query.node_type)) for group, fits in fitting
            ]
            if any(fits.any() for _, fits in numbered):
                return Choice(_first(numbered, query.unmetered), query.unmetered, 0.0, 0.0)
            if not query.loose:
                there = {
                    number for group, fits in fitting for number in group.numbers[fits].tolist()
                }
                raise NoModelError(
                    f"node_type is {query.node_type}: there are models of "
                    f"{listed(sorted(there))}{_limits(query)}"
                )
        among = np.zeros(len(self._types), np.bool_)
        for group, fits in fitting:
            among[group.types[fits]] = True
        if query.machine is None or query.machine == UNKNOWN_MACHINE:
            entry = _first(fitting, query.unmetered)
            place = self._types.index(entry.manifest.key.node_type)
            uncertainty = self._search.uncertainty(place, among)
            return Choice(entry, query.unmetered, uncertainty, 0.0)
        found = self._node_type(query.machine, query, among)
        alike = [(group, fits & (group.types == found.place)) for group, fits in fitting]
        entry = _first(alike, query.unmetered)
        return Choice(entry, query.unmetered, found.uncertainty, found.looseness)

    def _node_type(self, machine: MachineSpec, query: Query, among: Mask) -> Match:
        """The machine's node type, or the one most like it, ``among`` those that fit [T]."""
        found = self._search.search(machine, query.loose, among)
        if found.place < 0:
            there = [self._types[type_] for type_ in np.flatnonzero(among)]
            raise NoModelError(
                f"machine_spec is of {machine.node_type}: there are models of "
                f"{listed(there)}{_limits(query)}"
            )
        return found

    def _check_names(self, query: Query) -> None:
        if query.pipeline and query.pipeline not in self._pipelines:
            raise NoModelError(
                f"pipeline_name is {quoted(query.pipeline)}: there are models of "
                f"{listed(sorted(self._pipelines))}"
            )
        known = (
            {LINEAR_TRAINER} | self._curve_trainers
            if query.weight
            else ARCHIVE_TRAINERS | self._experts
        )
        if query.trainer_name and query.trainer_name not in known:
            what = "weights" if query.weight else "models"
            raise NoModelError(
                f"trainer_name is {quoted(query.trainer_name)}: there are {what} of "
                f"{listed(sorted(known))}"
            )


def _rank(entry: Entry, errors: dict[str, float]) -> tuple[float, str]:
    return errors.get("mae", math.inf), entry.tie


def _is_of(entry: Entry, trainer: str) -> bool:
    """An imported model is what one trainer made; of a learned one the whole is the answer."""
    return not entry.manifest.key.imported or trainer in entry.manifest.experts


def curves_of(entry: Entry) -> Curves:
    """The model's curves for Kepler, by trainer and component."""
    return {} if isinstance(entry.manifest.curves, UnsetType) else entry.manifest.curves


def _has_curves(entry: Entry, query: Query) -> bool:
    found = curves_of(entry).get(query.trainer_name, {})
    return any(
        component in KEPLER_COMPONENTS and curve.feature == query.metrics[0]
        for component, curve in found.items()
    )


def _has_lines(entry: Entry) -> bool:
    return any(component in entry.manifest.lines for component in KEPLER_COMPONENTS)


def _first(fitting: _Fitting, unmetered: bool) -> Entry:
    """The best of the models that fit, of which there must be one."""
    best: list[tuple[tuple[float, str], Entry]] = []
    for group, fits in fitting:
        places = np.flatnonzero(fits).tolist()
        if not places:
            continue
        # Groups are sorted by what is usually asked for.
        ranks = group.transfer_ranks if unmetered else group.ranks
        place = min(places, key=ranks.__getitem__) if unmetered else places[0]
        best.append((ranks[place], group.entries[place]))
    return min(best, key=lambda found: found[0])[1]


def _limits(query: Query) -> str:
    weights = " with weights" if query.weight else ""
    if query.weight and query.trainer_name in CURVE_TRAINERS:
        weights += f" of {query.trainer_name} for {quoted(query.metrics[0])}, the first metric"
    return weights + (f" with filter {quoted(query.filter)}" if query.filter else "")


def quoted(text: str) -> str:
    """The text in quotes, as much as fits in a message."""
    return repr(text[:80])


def listed(things: Iterable[object], between: str = ", ") -> str:
    """The things in a line, as many as fit in a message.

    >>> listed("ab"), listed([]), listed(range(100))[-20:]
    ('a, b', 'none', '10, 11 and 88 others')
    """
    every = [str(thing)[:80] for thing in things]
    more = f" and {len(every) - _SHOWN} others" if len(every) > _SHOWN else ""
    return (between.join(every[:_SHOWN]) or "none") + more
