"""Which known node type is most like a machine: kepler-model-server's search, for many types.

Its attributes are the processor, cores, chips, memory and frequency. A node type covers a machine
if it equals it in every attribute that the machine gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats
from estimator.machine import MachineSpec

Mask: TypeAlias = NDArray[np.bool_]

PROCESSOR_WEIGHT: Final = 5 / 8
NUMBER_WEIGHTS: Final = {"cores": 1 / 8, "chips": 1 / 8, "memory": 1 / 16, "frequency": 1 / 16}
_ATTRIBUTES: Final = 1 + len(NUMBER_WEIGHTS)


class Match(NamedTuple):
    """The place of the node type that was found, or -1, and how sure that is.

    ``uncertainty`` grows with the number of other types that would do as well, ``looseness`` with
    how much the type differs from the machine; both from 0 to 1, -1 where nothing was found.
    """

    place: int
    uncertainty: float
    looseness: float


NO_MATCH: Final = Match(-1, -1.0, -1.0)


class NodeTypeSearch:
    """T node types, by their machine and the number of their members."""

    def __init__(self, machines: Sequence[MachineSpec], members: Sequence[float]) -> None:
        self._members = np.array(members, np.float64)
        names = sorted({machine.processor for machine in machines})
        places = {name: place for place, name in enumerate(names)}
        self._names = {name: place for name, place in places.items() if name}
        self._processor = np.array([places[machine.processor] for machine in machines], np.intp)
        self._numbers = np.array(
            [[getattr(machine, name) for name in NUMBER_WEIGHTS] for machine in machines],
            np.float64,
        ).reshape(len(machines), len(NUMBER_WEIGHTS))
        lower = [name.lower() for name in names]
        self._by_lower: dict[str, list[int]] = {}
        for place, name in enumerate(lower):
            self._by_lower.setdefault(name, []).append(place)
        self._columns = {letter: at for at, letter in enumerate(sorted(set("".join(lower))))}
        self._letters = np.zeros((len(names), len(self._columns)))
        for row, name in enumerate(lower):
            self._letters[row, [self._columns[letter] for letter in set(name)]] = 1.0
        self._letter_counts = self._letters.sum(axis=1)

    def search(self, machine: MachineSpec, loose: bool = False, among: Mask | None = None) -> Match:
        """The node type of the machine; if ``loose``, the most similar one when none covers it.

        ``among`` [T] says which types come into question.

        >>> types = [MachineSpec("", "xeon_a", 64, 2, 188, 2100),
        ...          MachineSpec("", "xeon_b", 8, 1, 32, 2100)]
        >>> NodeTypeSearch(types, [1, 1]).search(MachineSpec(cores=8))
        Match(place=1, uncertainty=0.0, looseness=0.0)
        """
        asked = np.ones(len(self._members), bool) if among is None else among
        if not asked.any():
            return NO_MATCH
        processor, numbers = self._equal(machine)
        given = _given(machine)
        covered = asked & processor & numbers[:, given].all(axis=1)
        if covered.any():
            place = self._first(covered, self._members)
            missing = _ATTRIBUTES - given.sum() - bool(machine.processor)
            return Match(place, self.uncertainty(place, covered) if missing else 0.0, 0.0)
        if not loose:
            return NO_MATCH
        similarity = np.where(asked, self.similarities(machine), -1.0)
        place = self._first(similarity >= similarity.max() - 1e-12, self._members)
        alike = given & numbers[place]
        covered = asked & numbers[:, alike].all(axis=1)
        if processor[place]:
            covered &= processor
        return Match(place, self.uncertainty(place, covered), 1.0 - float(similarity[place]))

    def similarities(self, machine: MachineSpec) -> Floats:
        """How similar each node type is to the machine, 0 to 1: [T]; what is not given scores 0."""
        score = np.zeros(len(self._members))
        if machine.processor:
            score += PROCESSOR_WEIGHT * self._processor_similarity(machine.processor)
        for column, (name, weight) in enumerate(NUMBER_WEIGHTS.items()):
            if value := getattr(machine, name):
                known = self._numbers[:, column]
                score += weight * np.maximum(0.0, 1.0 - np.abs(known - value) * 2 / (known + value))
        return score

    def _processor_similarity(self, processor: str) -> Floats:
        lower = processor.lower()
        letters = set(lower)
        known = [self._columns[letter] for letter in letters if letter in self._columns]
        shared = self._letters[:, known].sum(axis=1)
        jaccard = shared / (self._letter_counts + len(letters) - shared)
        alike = jaccard / 2
        alike[self._by_lower.get(lower, [])] = 1.0
        found: Floats = alike[self._processor]
        return found

    def _equal(self, machine: MachineSpec) -> tuple[Mask, Mask]:
        """Where the processor [T] and each number [T, 4] is the machine's; a free one always is."""
        if machine.processor:
            processor = self._processor == self._names.get(machine.processor, -1)
        else:
            processor = np.ones(len(self._processor), bool)
        return processor, self._numbers == [getattr(machine, name) for name in NUMBER_WEIGHTS]

    def uncertainty(self, place: int, covered: Mask) -> float:
        """The share of other types' members: the mean over the attributes that are not known."""
        return 1.0 - float(self._members[place] / self._members[covered].sum())

    def _first(self, among: Mask, members: Floats) -> int:
        """The place with the most members, the first of several."""
        return int(np.argmax(np.where(among, members, -1.0)))


def _given(machine: MachineSpec) -> Mask:
    return np.array([getattr(machine, name) > 0 for name in NUMBER_WEIGHTS])
