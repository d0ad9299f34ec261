"""Power above idle, shared among a node's workloads by what each of them used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.artifact import Line


def ends_with_node(rows: Floats) -> bool:
    """Whether the last of rows [K, F] is the node that the others are workloads of.

    So Kepler writes the requests for its processes: the node has used of everything at least what
    any of them has.

    >>> ends_with_node(np.array([[1.0, 2.0], [3.0, 0.0], [4.0, 2.0]]))
    True
    >>> ends_with_node(np.array([[1.0, 2.0], [3.0, 0.0]]))
    False
    """
    return len(rows) > 1 and bool((rows[-1] >= rows[:-1].max(axis=0)).all())


def watts_per_rate(
    lines: Mapping[str, Line], features: Sequence[str], components: Sequence[str]
) -> Floats:
    """What one unit of each feature draws [F, C], by the model's own linear approximation.

    A component without a line, or whose line rises with no feature, has zeros.
    """
    watts = np.zeros((len(features), len(components)))
    for column, component in enumerate(components):
        line = lines.get(component)
        if line is None:
            continue
        for row, feature in enumerate(features):
            scale = line.scales.get(feature, 0.0)
            if scale > 0.0:
                watts[row, column] = max(0.0, line.weights.get(feature, 0.0) / scale)
    return watts


def share(total: Floats, rows: Floats, weights: Floats) -> Floats:
    """Share ``total`` [C] watts of the node, the last of rows [K, F], among all rows: [K, C].

    A workload's share is its part of the weighed usage (``weights`` [F, C]); where nothing has a
    weight, its mean part of what the node used. The workloads' shares add up to the total at most,
    to all of it where their usage adds up to the node's; the last row is the total.
    """
    node = rows[-1]
    parts = np.divide(rows, node, out=np.zeros_like(rows), where=node > 0.0)
    used = rows @ weights
    used = np.where(node @ weights > 0.0, used, parts.mean(axis=1, keepdims=True))
    whole = np.maximum(used[-1], used[:-1].sum(axis=0))
    watts: Floats = total * np.divide(used, whole, out=np.zeros_like(used), where=whole > 0.0)
    watts[-1] = total
    return watts
