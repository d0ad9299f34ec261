"""Power over time: measured, and estimated before it was learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream.analysis.history import Course
from stream.analysis.plots.figure import ESTIMATED, MEASURED, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_power(courses: Sequence[Course], title: str) -> Figure:
    """A panel for each component that was ever above 0 W; of several nodes the mean."""
    shown = [
        (course, number)
        for course in courses
        for number in range(len(course.model.components))
        if course.model.ever_positive(number)
    ]
    figure, axes = panels(len(shown), title)
    for ax, (course, number) in zip(axes, shown, strict=False):
        minutes = course.seconds / 60
        ax.plot(minutes, course.measured[:, number], lw=1.0, color=MEASURED, label="measured")
        label = f"estimated before it was learned ({course.key.feature_group})"
        ax.plot(minutes, course.estimated[:, number], lw=0.8, color=ESTIMATED, label=label)
        for place, (seconds, _) in enumerate(d for d in course.drifts if d[1] == number):
            label_drift = "drift" if place == 0 else None
            ax.axvline(seconds / 60, color="#2e6f9e", lw=1.2, linestyle="--", label=label_drift)
        name = f"{course.model.components[number]} ({course.key.source})"
        ax.set(ylabel=f"{name}, W", xlabel="minutes")
        ax.margins(x=0)
        ax.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize="small"
        )
    return figure
