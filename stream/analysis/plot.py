"""A model's course through a trace as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from estimator.errors import MisuseError
from estimator.vocabulary import HORIZONS
from stream.analysis.history import Course

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AGES = ["next sample", *(f"{horizon} s old" for horizon in HORIZONS[1:])]
_MOST_COMPONENTS = 3
_SHOWN_HORIZON = 2
"""Whose weights are shown: of the model that is five minutes old."""


def plot(course: Course, path: Path, title: str) -> None:
    """Draw measured and estimated watts with drifts, errors by model age, and weights over time.

    The form is that of the file's name (png, svg, pdf). Raises ``MisuseError`` if matplotlib is
    not there or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MisuseError("--plot needs matplotlib: install wattstream[compare]") from error
    shown = [c for c in range(len(course.model.components)) if course.model.ever_positive(c)]
    shown = shown[:_MOST_COMPONENTS]
    figure = Figure(figsize=(14, 3.2 * (len(shown) + 1)), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(len(shown) + 1, 3)
    for row, component in enumerate(shown):
        _draw_watts(figure.add_subplot(grid[row, :]), course, component)
    _draw_errors(figure.add_subplot(grid[-1, 0]), course, shown)
    _draw_weights(figure.add_subplot(grid[-1, 1:]), course, shown[0])
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise MisuseError(f"--plot is {path}: {error}") from error


def _draw_watts(axes: Axes, course: Course, component: int) -> None:
    minutes = course.seconds / 60
    axes.plot(minutes, course.measured[:, component], lw=1.0, color="#555", label="measured")
    axes.plot(
        minutes,
        course.estimated[:, component],
        lw=0.8,
        color="#d1495b",
        label="estimated before it was learned",
    )
    drifts = [seconds / 60 for seconds, showed in course.drifts if showed == component]
    for number, at in enumerate(drifts):
        label = "drift" if number == 0 else None
        axes.axvline(at, color="#2e6f9e", lw=1.2, linestyle="--", label=label)
    axes.set(ylabel=f"{course.model.components[component]}, W", xlabel="minutes")
    axes.margins(x=0)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize="small"
    )


def _draw_errors(axes: Axes, course: Course, shown: list[int]) -> None:
    places = np.arange(len(HORIZONS))
    width = 0.8 / len(shown)
    for number, component in enumerate(shown):
        errors = [
            course.model.assessment.total.errors(h, component).mae for h in range(len(HORIZONS))
        ]
        axes.bar(places + number * width, errors, width, label=course.model.components[component])
    axes.set_xticks(places + width * (len(shown) - 1) / 2, _AGES, fontsize="small")
    axes.set(ylabel="mean absolute error, W", title="errors by the model's age")
    axes.legend(fontsize="small")


def _draw_weights(axes: Axes, course: Course, component: int) -> None:
    weights = course.weights[:, _SHOWN_HORIZON, :, component]
    names: Any = course.model.experts
    axes.stackplot(course.moments / 60, weights.T, labels=names, alpha=0.85)
    name = course.model.components[component]
    axes.set(ylim=(0, 1), xlabel="minutes")
    axes.set_title(f"who is heard for {name} when the model is {_AGES[_SHOWN_HORIZON]}")
    axes.margins(x=0)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", reverse=True)
