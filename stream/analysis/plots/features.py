"""Each feature against power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stream.analysis.plots.figure import panels
from stream.sample import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_features(samples: Sequence[Sample], title: str) -> Figure:
    """A panel for each component and feature with the correlation of both, the strongest first.

    Features that never change are left out; samples are of one energy source.
    """
    pairs = []
    for component in dict.fromkeys(name for sample in samples for name in sample.components):
        for feature in sorted({name for sample in samples for name in sample.features}):
            points = _points(samples, feature, component)
            if len(points) > 1 and np.ptp(points[:, 0]) > 0 and np.ptp(points[:, 1]) > 0:
                strength = float(np.asarray(np.corrcoef(points.T))[0, 1])
                pairs.append((component, feature, points, strength))
    pairs.sort(key=lambda pair: -abs(pair[3]))
    figure, axes = panels(len(pairs), title, columns=3)
    for ax, (component, feature, points, strength) in zip(axes, pairs, strict=False):
        ax.scatter(points[:, 0], points[:, 1], s=5, alpha=0.4)
        ax.set(xlabel=f"{feature} per second", ylabel=f"{component}, W")
        ax.set_title(f"r = {strength:.3f}", fontsize="small")
    return figure


def _points(
    samples: Sequence[Sample], feature: str, component: str
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rates and watts of the samples that have both: [N, 2]."""
    found = [
        (float(s.rates[s.features.index(feature)]), s.watts[s.components.index(component)])
        for s in samples
        if feature in s.features and component in s.components
    ]
    return np.array(found, np.float64).reshape(-1, 2)
