"""Workload series as columns: every list has one value for every workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from stream.records import Workloads
from stream.sources.kepler_exposition import Sample

Column = Mapping[str, float]
"""One feature's values by workload id."""


def column(samples: Iterable[Sample], label: str, factor: float = 1.0) -> dict[str, float]:
    """The samples' values by that label, times the factor; those of one workload are added up.

    Ended workloads (``state="terminated"``) keep their last value for a while: they are left out.
    """
    values: dict[str, float] = {}
    for _, labels, value in samples:
        identity = labels.get(label)
        if identity and labels.get("state") != "terminated":
            values[identity] = values.get(identity, 0.0) + value * factor
    return values


def workloads(kind: str, columns: Mapping[str, Column]) -> Workloads:
    """Align the columns of features to one list of ids, sorted.

    A counter filled up with 0 would look like a reset, and its return like a burst of work. So
    the ids are those that most features have (the larger set if two are as frequent); a feature
    that lacks one of them is left out of this record, and so is a workload beyond them: what is
    left adds up to right node values.

    >>> workloads("container", {"cpu_cycles": {"b": 2.0, "a": 1.0}, "cache_miss": {"a": 5.0}})
    Workloads(id=['a', 'b'], kind=['container', 'container'], features={'cpu_cycles': [1.0, 2.0]})
    """
    sets = Counter(frozenset(values) for values in columns.values() if values)
    if not sets:
        return Workloads()
    chosen = max(sets, key=lambda ids: (sets[ids], len(ids), sorted(ids)))
    ids = sorted(chosen)
    return Workloads(
        id=ids,
        kind=[kind] * len(ids),
        features={
            feature: [values[identity] for identity in ids]
            for feature, values in sorted(columns.items())
            if chosen <= values.keys()
        },
    )
