"""Power curves: what models answer from no usage to the most that was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from estimator.arrays import Floats
from stream.analysis.history import Course
from stream.analysis.plots.figure import MEASURED, panels
from stream.sample import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEPS: Final = 60


def plot_curves(courses: Sequence[Course], samples: Sequence[Sample], title: str) -> Figure:
    """A panel for each source and component, a curve for each feature group, and the samples.

    The horizontal axis is usage as a share of the most: at 0.4 each feature has 0.4 of what it has
    on average where the first of them, which the samples are placed by, is at its most.
    """
    places = sorted(
        {(c.key.node_type, c.key.source, name) for c in courses for name in c.model.components}
    )
    places = [place for place in places if any(_shows(course, place) for course in courses)]
    figure, axes = panels(len(places), title, columns=2)
    for ax, place in zip(axes, places, strict=False):
        dots_drawn = False
        for course in courses:
            if not _shows(course, place) or course.model.current is None:
                continue
            number = course.model.components.index(place[2])
            rates, watts = _samples_of(samples, course, place[2])
            if not dots_drawn:
                main = rates[:, 0] / max(float(rates[:, 0].max()), 1e-300)
                ax.scatter(main, watts, s=4, alpha=0.3, color=MEASURED, label="measured")
                dots_drawn = True
            shares = np.linspace(0.0, 1.0, _STEPS)
            answered = course.model.current.predict_many(shares[:, None] * _full(rates)[None, :])
            ax.plot(shares, answered[:, number], label=course.key.feature_group)
        ax.set(xlabel="usage, of the most", ylabel=f"{place[2]} ({place[1]}), W", title=place[0])
        ax.legend(fontsize="small")
    return figure


def _shows(course: Course, place: tuple[str, str, str]) -> bool:
    key, model = course.key, course.model
    if (key.node_type, key.source) != place[:2] or place[2] not in model.components:
        return False
    return bool(model.ever_positive(model.components.index(place[2])))


def _samples_of(samples: Sequence[Sample], course: Course, component: str) -> tuple[Floats, Floats]:
    """Rates [N, F] of the model's features, and watts [N], of the samples that it learned."""
    features = tuple(course.model.features)
    mine = [
        sample
        for sample in samples
        if sample.source == course.key.source
        and sample.machine.node_type == course.key.node_type
        and component in sample.components
        and set(features) <= set(sample.features)
    ]
    rates = [[float(s.rates[s.features.index(name)]) for name in features] for s in mine]
    watts = [s.watts[s.components.index(component)] for s in mine]
    return np.array(rates, np.float64), np.array(watts, np.float64)


def _full(rates: Floats) -> Floats:
    """What the features are on average in the busiest twentieth by the first of them."""
    busiest = np.argsort(rates[:, 0])[-max(1, len(rates) // 20) :]
    full: Floats = rates[busiest].mean(axis=0)
    return full
