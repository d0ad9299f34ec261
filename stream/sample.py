"""What the join makes and the learner learns: one node over one interval."""

from __future__ import annotations

from typing import NamedTuple

from estimator.arrays import Floats
from estimator.machine import MachineSpec


class Sample(NamedTuple):
    """Rates and mean watts of a node from ``start`` to ``end`` (Unix ms).

    ``rates`` [F] go with ``features``, ``watts`` with ``components``; both are sorted the same way
    for all nodes that report the same. ``background`` [F] is what of the rates was used by
    workloads that somebody has named as such; None where nobody has.
    """

    node: str
    machine: MachineSpec
    source: str
    start: int
    end: int
    features: tuple[str, ...]
    rates: Floats
    components: tuple[str, ...]
    watts: tuple[float, ...]
    background: Floats | None = None
