"""Per-workload shares: a node's power above idle, shared out by what each workload used."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.errors import WattstreamError
from stream.joining.usage_rates import Reading, reading
from stream.records import PowerRecord, UsageRecord
from stream.sample import Sample


class Shares(NamedTuple):
    """Watts [T, W] of W workloads in T intervals of a node, the greatest first, then the others.

    ``seconds`` [T] since the first interval's end; ``level`` is what is nobody's: the least watts.
    """

    node: str
    component: str
    feature: str
    workloads: list[str]
    seconds: Floats
    watts: Floats
    level: float


class UsageByWorkload:
    """What each workload used of one feature in each interval; give it every record (`see`)."""

    def __init__(self, feature: str) -> None:
        self.feature = feature
        self._last: dict[str, Reading] = {}
        self._used: dict[tuple[str, int], dict[str, float]] = {}

    def see(self, record: UsageRecord | PowerRecord) -> None:
        """Take in a record; meters' are passed over."""
        if isinstance(record, PowerRecord) or self.feature not in record.workloads.features:
            return
        now = reading(record)
        row = now.workloads[now.layout.workload_names.index(self.feature)]
        used = dict(zip(now.ids, row.tolist(), strict=True))
        if record.mode == "counter":
            before, self._last[record.node] = self._last.get(record.node), now
            if before is None or self.feature not in before.layout.workload_names:
                return
            old = before.workloads[before.layout.workload_names.index(self.feature)]
            known = dict(zip(before.ids, old.tolist(), strict=True))
            used = {name: max(0.0, at - known[name]) for name, at in used.items() if name in known}
        self._used[record.node, record.at] = used

    def shares(self, samples: list[Sample], node: str, component: str, most: int) -> Shares:
        """The node's samples shared out; ``WattstreamError`` if no workload of it is known."""
        mine = [s for s in samples if s.node == node and component in s.components]
        mine = [s for s in mine if (s.node, s.end) in self._used]
        total: Counter[str] = Counter()
        for sample in mine:
            total.update(self._used[node, sample.end])
        if not total:
            raise WattstreamError(f"node {node!r} has no workloads with {self.feature} and power")
        names = [name for name, _ in total.most_common(most)]
        measured = np.array([s.watts[s.components.index(component)] for s in mine])
        level = float(measured.min())
        rows = deque[list[float]]()
        for sample, watts in zip(mine, (measured - level).tolist(), strict=True):
            used = self._used[node, sample.end]
            all_of_it = sum(used.values())
            part = [watts * used.get(name, 0.0) / all_of_it if all_of_it else 0.0 for name in names]
            rows.append([*part, max(0.0, watts - sum(part))])
        start = mine[0].end
        return Shares(
            *(node, component, self.feature, [*names, "others"]),
            np.array([(s.end - start) / 1000 for s in mine]),
            np.array(rows),
            level,
        )
