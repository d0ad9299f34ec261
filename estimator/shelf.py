"""The models of one energy source and output type, arranged to be chosen from quickly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from estimator.choice import Entry, Query, chosen_by
from estimator.errors import NoModelError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.model_filter import Condition
from estimator.similarity import Mask, NodeTypeSearch

LINEAR_TRAINER: Final = "SGDRegressorTrainer"
"""What Kepler calls linear weights."""
ARCHIVE_TRAINERS: Final = frozenset({"Wattstream", LINEAR_TRAINER, "LinearRegressionTrainer"})
"""Trainers that may be asked for beside the names of experts; the whole model is the answer."""
KEPLER_COMPONENTS: Final = ("package", "core", "uncore", "dram", "platform")
"""The components that Kepler's weights may have."""
_SHOWN: Final = 12


class _Candidate(NamedTuple):
    entry: Entry
    error: float
    errors: dict[str, float]
    has_lines: bool

    @property
    def node_type(self) -> str:
        return self.entry.manifest.key.node_type


_Fits = Callable[[_Candidate], bool]


class _Group:
    """The candidates with the same features, best first."""

    def __init__(self, candidates: Iterable[_Candidate]) -> None:
        self.candidates = sorted(candidates, key=_rank)
        self.by_type: dict[str, list[_Candidate]] = {}
        self.by_number: dict[int, list[_Candidate]] = {}
        for one in self.candidates:
            self.by_type.setdefault(one.node_type, []).append(one)
            self.by_number.setdefault(one.entry.number, []).append(one)


class Shelf:
    """All models of one source and output type."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        members: dict[str, int] = {}
        machines: dict[str, MachineSpec] = {}
        groups: dict[frozenset[str], list[_Candidate]] = {}
        for entry in entries:
            manifest = entry.manifest
            name = manifest.key.node_type
            machines.setdefault(name, manifest.machine)
            members[name] = max(members.get(name, 1), manifest.samples)
            groups.setdefault(frozenset(manifest.features), []).append(_candidate(entry))
        self._places = {name: place for place, name in enumerate(machines)}
        # How many machines make up a type is written nowhere; how many samples they gave, is.
        self._search = NodeTypeSearch(list(machines.values()), [members[name] for name in machines])
        self._experts = {name for entry in entries for name in entry.manifest.experts}
        self._numbers = sorted({entry.number for entry in entries})
        self._groups = {features: _Group(found) for features, found in groups.items()}
        self._masks = {
            (features, weight): self._mask(
                one for one in group.candidates if one.has_lines or not weight
            )
            for features, group in self._groups.items()
            for weight in (False, True)
        }

    def select(self, query: Query, conditions: Sequence[Condition]) -> Entry:
        """The best model; ``NoModelError`` if there is none."""
        self._check_trainer(query)
        metrics = set(query.metrics)
        possible = [features for features in self._groups if features <= metrics]
        if not possible:
            needed = sorted(", ".join(sorted(features)) for features in self._groups)
            raise NoModelError(
                f"metrics are {listed(query.metrics)}: models need {listed(needed, '; or ')}"
            )
        fits = _fits(query, conditions)
        groups = [self._groups[features] for features in possible]
        best = self._numbered(query, groups, fits) if query.node_type > 0 else None
        if best is None and query.machine not in (None, UNKNOWN_MACHINE):
            best = self._most_similar(query, possible, fits, conditions)
        elif best is None:
            heads = (next(filter(fits, group.candidates), None) for group in groups)
            best = _best(one for one in heads if one is not None)
        if best is None:
            raise NoModelError(f"no model fits{_limits(query)}")
        return best

    def _numbered(self, query: Query, groups: list[_Group], fits: _Fits) -> Entry | None:
        """The best model of the node type with the number; None if another will do."""
        number = query.node_type
        of_type = (one for group in groups for one in group.by_number.get(number, ()))
        best = _best(filter(fits, of_type))
        if best is None and not query.loose:
            raise NoModelError(
                f"node_type is {number}: there are models of {listed(self._numbers)}"
                f"{_limits(query)}"
            )
        return best

    def _most_similar(
        self,
        query: Query,
        possible: list[frozenset[str]],
        fits: _Fits,
        conditions: Sequence[Condition],
    ) -> Entry | None:
        """The best model of the machine's node type, or of the one most like it."""
        groups = [self._groups[features] for features in possible]
        if conditions:
            among = self._mask(one for group in groups for one in filter(fits, group.candidates))
        else:
            among = np.logical_or.reduce([self._masks[each, query.weight] for each in possible])
        if not among.any() or query.machine is None:
            return None
        name = self._node_type(query.machine, query, among)
        of_type = (one for group in groups for one in group.by_type.get(name, ()))
        return _best(filter(fits, of_type))

    def _node_type(self, machine: MachineSpec, query: Query, among: Mask) -> str:
        """The machine's node type, of those that are among these."""
        types = list(self._places)
        match = self._search.search(machine, query.loose, among)
        if match.place < 0:
            there = [name for name, may in zip(types, among, strict=True) if may]
            raise NoModelError(
                f"machine_spec is of {machine.node_type}: there are models of "
                f"{listed(there)}{_limits(query)}"
            )
        return types[match.place]

    def _check_trainer(self, query: Query) -> None:
        known = {LINEAR_TRAINER} if query.weight else ARCHIVE_TRAINERS | self._experts
        if query.trainer_name and query.trainer_name not in known:
            what = "weights" if query.weight else "models"
            raise NoModelError(
                f"trainer_name is {quoted(query.trainer_name)}: there are {what} of "
                f"{listed(sorted(known))}"
            )

    def _mask(self, candidates: Iterable[_Candidate]) -> Mask:
        mask = np.zeros(len(self._places), np.bool_)
        mask[[self._places[one.node_type] for one in candidates]] = True
        return mask


def _candidate(entry: Entry) -> _Candidate:
    manifest = entry.manifest
    errors = chosen_by(manifest)
    has_lines = any(component in manifest.lines for component in KEPLER_COMPONENTS)
    return _Candidate(entry, errors.get("mae", math.inf), errors, has_lines)


def _fits(query: Query, conditions: Sequence[Condition]) -> _Fits:
    def fits(one: _Candidate) -> bool:
        if query.weight and not one.has_lines:
            return False
        return all(condition(one.entry.manifest, one.errors) for condition in conditions)

    return fits


def _rank(one: _Candidate) -> tuple[float, str]:
    # Of models equally good always the same one, whatever their order in the store.
    return one.error, one.entry.digest


def _best(candidates: Iterable[_Candidate]) -> Entry | None:
    best = min(candidates, key=_rank, default=None)
    return None if best is None else best.entry


def _limits(query: Query) -> str:
    weights = " with weights" if query.weight else ""
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
