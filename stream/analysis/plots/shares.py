"""Per-workload shares over time, stacked upon what is nobody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from stream.analysis.plots.figure import panels
from stream.analysis.shares import Shares

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST: Final = 32


def plot_shares(shares: Sequence[Shares], names: Mapping[str, str], title: str) -> Figure:
    """A panel for each node; workloads that have no name are called by the start of their id."""
    figure, axes = panels(len(shares), title, height=4.5)
    for ax, found in zip(axes, shares, strict=False):
        bottom = np.full((1, len(found.seconds)), found.level)
        ax.stackplot(
            found.seconds / 60,
            np.concatenate([bottom, found.watts.T]),
            labels=["least power", *(_called(name, names) for name in found.workloads)],
            colors=["#ddd", *(f"C{n}" for n in range(len(found.workloads) - 1)), "#999"],
        )
        ax.set(ylabel=f"{found.component}, W", xlabel="minutes")
        ax.set_title(f"{found.node}, shared by {found.feature}")
        ax.margins(x=0)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", reverse=True)
    return figure


def _called(workload: str, names: Mapping[str, str]) -> str:
    """The name without the id that it begins with."""
    name = names.get(workload, workload).removeprefix(f"{workload}/")
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
