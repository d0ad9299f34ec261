"""Models side by side: the errors of feature groups and experts on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from estimator.learning.model import PowerModel
from estimator.model_key import ModelKey
from stream.analysis.plots.figure import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_models(learned: Mapping[str, Mapping[ModelKey, PowerModel]], title: str) -> Figure:
    """A panel for each node type, source and component; bars by feature group and by experts.

    ``learned`` are the models by the name of the experts that they are made of.
    """
    errors: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for experts, models in learned.items():
        for key, model in models.items():
            for number, component in enumerate(model.components):
                if model.ever_positive(number):
                    by_experts = errors.setdefault((key.node_type, key.source, component), {})
                    mae = model.assessment.total.errors(0, number).mae
                    by_experts.setdefault(experts, {})[key.feature_group] = mae
    figure, axes = panels(len(errors), title)
    for ax, (place, by_experts) in zip(axes, sorted(errors.items()), strict=False):
        groups = list(dict.fromkeys(group for found in by_experts.values() for group in found))
        width = 0.8 / len(by_experts)
        for number, (experts, found) in enumerate(by_experts.items()):
            bars = ax.bar(
                np.arange(len(groups)) + number * width,
                _heights(found, groups),
                width,
                label=experts,
            )
            ax.bar_label(bars, fmt="%.2f", fontsize="x-small")
        ax.set_xticks(np.arange(len(groups)) + width * (len(by_experts) - 1) / 2, groups)
        ax.set(ylabel="next-sample MAE, W", title=", ".join(place))
        ax.legend(fontsize="small")
    return figure


def _heights(found: Mapping[str, float], groups: Sequence[str]) -> list[float]:
    return [found.get(group, float("nan")) for group in groups]
