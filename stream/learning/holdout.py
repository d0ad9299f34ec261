"""Who is learned from: all nodes but the few that show what models are worth to strangers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from estimator.arrays import State
from estimator.learning.strangers import FIRST_CONTACT, TRANSFER, Stranger
from stream.sample import Sample

FEWEST_NODES: Final = 5
"""Where fewer nodes report, all are learned from."""
ONE_IN: Final = 10
"""Of so many nodes one is held out."""
REPORTING_MS: Final = 600_000
"""A node reports if it was heard of within that time."""
FIRST_CONTACT_MS: Final = 300_000
"""A new node's samples are only scored for so long."""
FORGOTTEN_MS: Final = 7_200_000
"""A node that was not heard of for so long is a stranger again, as it is to the join."""
MOST_NODES: Final = 10_000
"""So many nodes of a type are remembered, those heard of last."""


def is_chosen(node: str) -> bool:
    """Whether a node of that name is held out, where there are enough others.

    Not by the hash that chooses partitions: all that are chosen would lie in some of them.

    >>> [name for name in (f"worker-{n}" for n in range(30)) if is_chosen(name)]
    ['worker-3', 'worker-13', 'worker-21', 'worker-22', 'worker-27']
    """
    # Names differ by a digit at their end: a plain checksum of them is anything but random.
    digest = hashlib.sha256(node.encode()).digest()
    return int.from_bytes(digest[:8], "big") % ONE_IN == 0


@dataclass(slots=True)
class _Known:
    first: int
    last: int
    taught: bool = False


class Nodes:
    """The nodes of one type and energy source in a shard, and what each is good for now.

    It depends on the order of the samples alone. Those that come within the first minutes of a type
    are its founders: nobody is known yet to whom they could be strangers. So it is after a silence
    of all of them.
    """

    def __init__(self) -> None:
        self._began = 0
        self._known: dict[str, _Known] = {}

    def roles(self, samples: Sequence[Sample]) -> list[Stranger | None]:
        """For each sample of a round what kind of stranger its node is; None if it teaches."""
        for sample in samples:
            self._note(sample.node, sample.end)
        return [self._role(sample.node, sample.end) for sample in samples]

    def _note(self, node: str, at: int) -> None:
        latest = next(reversed(self._known.values()), None)
        # After a silence of all, as at the very beginning, nobody is there to be a stranger to.
        if latest is None or at - latest.last >= FIRST_CONTACT_MS:
            self._began = at
        known = self._known.pop(node, None) or _Known(at, at)
        known.last = max(at, known.last)
        self._known[node] = known  # as the latest
        while True:
            oldest = next(iter(self._known))
            if at - self._known[oldest].last < FORGOTTEN_MS and len(self._known) <= MOST_NODES:
                break
            del self._known[oldest]

    def _role(self, node: str, at: int) -> Stranger | None:
        # A round may have more nodes than are remembered: then the first of them teach.
        known = self._known.get(node)
        if known is None or known.taught:
            return None
        if is_chosen(node) and self._are_enough(at):
            return TRANSFER
        is_founder = known.first - self._began < FIRST_CONTACT_MS
        if not is_founder and at - known.first < FIRST_CONTACT_MS:
            return FIRST_CONTACT
        known.taught = True
        return None

    def _are_enough(self, at: int) -> bool:
        latest = list(islice(reversed(self._known.values()), FEWEST_NODES))
        return len(latest) == FEWEST_NODES and at - latest[-1].last < REPORTING_MS

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        known = [[node, one.first, one.last, one.taught] for node, one in self._known.items()]
        return {"began": self._began, "known": known}

    @classmethod
    def restore(cls, state: State) -> Nodes:
        """Make the nodes that ``state`` was taken of."""
        restored = cls()
        restored._began = state["began"]
        restored._known = {node: _Known(*saved) for node, *saved in state["known"]}
        return restored
