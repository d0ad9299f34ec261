"""What background workloads used of a node's rates, for isolators that predict its power."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from estimator.arrays import Floats
from estimator.isolation.hints import Hints
from stream.joining.usage_rates import Reading, layout, rates_between, rates_within
from stream.records import UsageRecord


def background_between(
    before: Reading, after: Reading, features: Sequence[str], hints: Hints
) -> Floats:
    """Rates [F] of the background workloads between two readings of counters.

    Of features that are said of the node only, nobody knows who used them: 0.
    """
    found = rates_between(_background(before, hints), _background(after, hints))
    return np.zeros(len(features)) if found is None else _placed(features, *found)


def background_within(record: UsageRecord, features: Sequence[str], hints: Hints) -> Floats:
    """Rates [F] of the background workloads of a record in mode ``rate``."""
    whole = record.workloads
    places = np.flatnonzero(hints.mask(whole.id)).tolist()
    part = type(whole)(
        id=[whole.id[place] for place in places],
        kind=[whole.kind[place] for place in places],
        features={
            name: [values[place] for place in places] for name, values in whole.features.items()
        },
    )
    narrowed = UsageRecord(
        record.v, record.node, record.at, record.mode, record.interval, workloads=part
    )
    return _placed(features, *rates_within(narrowed))


def _background(whole: Reading, hints: Hints) -> Reading:
    places = np.flatnonzero(hints.mask(whole.ids))
    return whole._replace(
        layout=layout((), whole.layout.workload_names),
        node=whole.node[:0],
        ids=[whole.ids[place] for place in places.tolist()],
        workloads=whole.workloads[:, places],
    )


def _placed(features: Sequence[str], found: Sequence[str], rates: Floats) -> Floats:
    known = dict(zip(found, rates.tolist(), strict=True))
    return np.array([known.get(feature, 0.0) for feature in features])
