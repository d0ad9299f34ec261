"""Errors by horizon: how wrong models are that are so old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from estimator.vocabulary import HORIZONS
from stream.analysis.history import Course
from stream.analysis.plots.figure import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AGES = ["next sample", *(f"{horizon} s old" for horizon in HORIZONS[1:])]


def plot_errors(courses: Sequence[Course], title: str) -> Figure:
    """A panel for each node type and energy source; bars by component and the model's age."""
    figure, axes = panels(len(courses), title)
    for ax, course in zip(axes, courses, strict=False):
        model = course.model
        shown = [c for c in range(len(model.components)) if model.ever_positive(c)]
        places = np.arange(len(HORIZONS))
        width = 0.8 / max(1, len(shown))
        for number, component in enumerate(shown):
            errors = [model.assessment.total.errors(h, component).mae for h in range(len(HORIZONS))]
            bars = ax.bar(
                places + number * width,
                np.nan_to_num(errors),
                width,
                label=model.components[component],
            )
            ax.bar_label(bars, [f"{e:.2f}" if e == e else "-" for e in errors], fontsize="x-small")
        ax.set_xticks(places + width * (len(shown) - 1) / 2, _AGES)
        ax.set(ylabel="mean absolute error, W")
        ax.set_title(f"{course.key.node_type}, {course.key.source}, {course.key.feature_group}")
        ax.legend(fontsize="small")
    return figure
